import { describe, expect, it } from 'vitest';
import { createJsBackend } from '../../src/backends/js/backend.js';
import { OP_NAMES } from '../../src/program/op-fields.js';
import { nativeBackends, titleOf } from '../helpers/backends.js';
import { opCases } from '../helpers/op-cases.js';
import { firstDifference, runOp } from '../helpers/op-harness.js';

const js = createJsBackend();

describe.each(nativeBackends().map((backend) => [titleOf(backend), backend] as const))('%s', (_title, native) => {
  it('has a kernel for every op', () => {
    expect([...native.operations].sort()).toEqual([...OP_NAMES].sort());
  });

  // Small work: a float32 chain in TypeScript rounds twice, which shows about once in 2^29 operations.
  it.each(opCases)('$name has the bits of TypeScript, on any number of threads', async ({ create }) => {
    const wanted = await runOp(js, create());
    for (const threads of [1, 2, 3]) {
      const difference = firstDifference(await runOp(native, create(), threads), wanted);
      expect(difference, `${threads} threads`).toBeNull();
    }
  });
});
