import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const release = join(import.meta.dirname, '..', '..', 'build', 'Release');
const objects = join(release, 'obj.target');
const tool = (name: string, ...args: string[]) =>
  execFileSync(name, args, { encoding: 'utf8', maxBuffer: 2 ** 28 }).split('\n');

/** The compiled objects below a target's folder. */
const objectsOf = (target: string) =>
  readdirSync(join(objects, target), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.o'))
    .map((name) => join(objects, target, name));

const instructionSets = process.arch === 'x64' ? ['avx2', 'avx512'] : ['neon'];

// binutils come with the compiler that has built the addon.
describe.runIf(process.platform === 'linux')('the compiled addon', () => {
  it.each(instructionSets)('has no symbol of %s that the linker could take for another processor', (isa) => {
    const [object] = objectsOf(`mnist_train_${isa}`);
    const symbols = tool('nm', '-C', '--defined-only', object);
    expect(symbols.length).toBeGreaterThan(100);
    // W, V and u: weak and unique symbols, of which the linker keeps one copy for all.
    expect(symbols.filter((line) => /^[0-9a-f]* [WVuw] /.test(line))).toEqual([]);
  });

  it.runIf(process.arch === 'x64')('uses AVX in the objects of its instruction sets alone', () => {
    const vectors = (object: string) =>
      tool('objdump', '-d', '--no-show-raw-insn', object).filter((line) => /[yz]mm/.test(line));
    const baseline = objectsOf('mnist_train');
    expect(baseline.length).toBeGreaterThan(20);
    for (const object of baseline) expect(vectors(object).slice(0, 3), object).toEqual([]);
    expect(vectors(objectsOf('mnist_train_avx2')[0]).length).toBeGreaterThan(1000);
  });

  it('exports what Node.js asks for, and nothing else', () => {
    const addon = join(release, 'mnist_train.node');
    expect(existsSync(addon)).toBe(true);
    const exported = tool('nm', '-D', '--defined-only', addon).map((line) => line.split(' ').at(-1));
    expect(exported.filter(Boolean).sort()).toEqual(['napi_register_module_v1', 'node_api_module_get_api_version_v1']);
  });

  it('asks for no library that Node.js has not loaded', () => {
    const libraries = tool('readelf', '-d', join(release, 'mnist_train.node'))
      .map((line) => line.match(/NEEDED.*\[(.+?)\.so/)?.[1])
      .filter((name) => name !== undefined);
    // With musl, libc has the processor in its name.
    const ofNode = /^(lib(stdc\+\+|gcc_s|m|dl|pthread|c)|libc\.musl-\w+|ld-[\w-]+)$/;
    expect(libraries).toContain('libstdc++');
    expect(libraries.filter((name) => !ofNode.test(name))).toEqual([]);
  });
});
