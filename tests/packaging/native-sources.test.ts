import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const native = join(import.meta.dirname, '..', '..', 'native');
const sourcesIn = (file: string) =>
  [...readFileSync(join(native, file), 'utf8').matchAll(/\b((?:addon|engine|targets)\/[\w-]+\.cc)\b/g)]
    .map((match) => match[1])
    .sort();

describe('the two native builds', () => {
  it('compile the same sources', () => {
    expect(sourcesIn('mnist_train.gypi')).toEqual(sourcesIn('CMakeLists.txt'));
  });

  it('compile every source that there is, once', () => {
    const files = ['addon', 'engine', 'targets'].flatMap((folder) =>
      readdirSync(join(native, folder))
        .filter((file) => file.endsWith('.cc'))
        .map((file) => `${folder}/${file}`),
    );
    expect(sourcesIn('mnist_train.gypi')).toEqual(files.sort());
  });

  it('put bugs on purpose into the developers build alone', () => {
    expect(readFileSync(join(native, 'CMakeLists.txt'), 'utf8')).toContain('MNIST_TRAIN_INJECT');
    expect(readFileSync(join(native, 'mnist_train.gypi'), 'utf8')).not.toMatch(/inject/i);
  });
});

describe('sources compiled for one instruction set', () => {
  // An inline function of the C++ library, compiled with AVX-512, could be the copy that the linker keeps for everybody.
  it('include no C++ library header', () => {
    const files = ['kernels', 'simd'].flatMap((folder) =>
      readdirSync(join(native, folder)).map((file) => join(native, folder, file)),
    );
    const allowed = /^<(immintrin|intrin|arm_neon|stddef|stdint|string)\.h>$|^"[\w-]+\.h"$/;
    for (const file of files) {
      for (const [, header] of readFileSync(file, 'utf8').matchAll(/^#include (.+)$/gm)) {
        expect(header, file).toMatch(allowed);
      }
    }
  });
});
