import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createNativeBackend } from '../../src/backends/native/backend.js';
import { loadAddon } from '../../src/backends/native/load.js';
import { selectBackend } from '../../src/backends/select.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mnist-train-select-'));
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

/** Points the loader at a file that is no addon. */
function breakAddon(): string {
  const file = join(folder, 'broken.node');
  writeFileSync(file, 'not a shared library');
  vi.stubEnv('MNIST_TRAIN_ADDON', file);
  return file;
}

describe('selectBackend', () => {
  it('takes the native backend where the addon loads', () => {
    const backend = selectBackend('auto', { onFallback: () => expect.unreachable('the addon loads here') });
    expect(backend.name).toBe('native');
    expect(['avx2', 'avx512', 'neon']).toContain(backend.isa);
    expect(backend.defaultThreads).toBeGreaterThanOrEqual(1);
    expect(loadAddon().attempts).toMatchObject([{ source: 'local build', status: 'loaded' }]);
  });

  it('takes TypeScript when it is asked for', () => {
    expect(selectBackend('js')).toMatchObject({ name: 'js', isa: null, defaultThreads: 1 });
  });

  it('goes on in TypeScript when the addon does not load, and tells the reason', () => {
    const file = breakAddon();
    const onFallback = vi.fn();
    expect(selectBackend('auto', { onFallback }).name).toBe('js');
    expect(onFallback).toHaveBeenCalledTimes(1);
    const [[attempts]] = onFallback.mock.calls;
    expect(attempts).toMatchObject([{ source: '$MNIST_TRAIN_ADDON', path: file, status: 'failed' }]);
    expect(attempts[0].reason).toMatch(/invalid ELF header|too short|not a mach-o|not a valid/i);
  });

  it('warns once in a process when nobody listens', () => {
    breakAddon();
    const warning = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    selectBackend('auto');
    selectBackend('auto');
    expect(warning).toHaveBeenCalledTimes(1);
    expect(warning.mock.calls[0][0]).toContain('native addon did not load ($MNIST_TRAIN_ADDON, ');
  });

  it('does not take an addon of another version, whose interface may differ', () => {
    const file = join(folder, 'other.cjs');
    writeFileSync(file, "module.exports = { version: '99.0.0', instructionSets: ['avx2'] }");
    vi.stubEnv('MNIST_TRAIN_ADDON', file);
    const { addon, attempts } = loadAddon();
    expect(addon).toBe(null);
    expect(attempts).toMatchObject([{ status: 'failed', reason: expect.stringContaining('version 99.0.0') }]);
  });

  it('refuses native when it cannot load, with the reason of every place', () => {
    vi.stubEnv('MNIST_TRAIN_ADDON', join(folder, 'missing.node'));
    expect(() => selectBackend('native')).toThrowError(
      expect.objectContaining({
        code: 'ERR_NATIVE_LOAD',
        message: expect.stringMatching(/\$MNIST_TRAIN_ADDON, .*missing\.node: there is no such file/),
      }),
    );
  });

  it('refuses unknown names and instruction sets', () => {
    expect(() => selectBackend('gpu' as 'js')).toThrowError(/one of auto, native, js for backend, received "gpu"/);
    vi.stubEnv('MNIST_TRAIN_ISA', 'sse9');
    expect(() => selectBackend('native')).toThrowError(/one of .* for MNIST_TRAIN_ISA, received "sse9"/);
  });

  it('lowers the instruction set on demand', () => {
    const instructionSet = process.arch === 'arm64' ? 'neon' : 'avx2';
    vi.stubEnv('MNIST_TRAIN_ISA', instructionSet);
    expect(selectBackend('native').isa).toBe(instructionSet);
    expect(createNativeBackend({ isa: instructionSet }).isa).toBe(instructionSet);
  });
});
