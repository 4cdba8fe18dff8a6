import { expect, it } from 'vitest';
import { requireAddon } from '../../src/backends/native/load.js';
import { nativeInstructionSets } from '../../src/backends/native/machine.js';

const addon = requireAddon();

it.each(nativeInstructionSets(addon))(
  'measures the multiply-add limit of %s with one thread and with more than cores',
  (isa) => {
    for (const threads of [1, 2, 9]) {
      const limit = addon.measurePeak(isa, threads, 2);
      // Any machine of today, and none: 10 MFLOP/s to 100 TFLOP/s.
      expect(limit).toBeGreaterThan(0.01);
      expect(limit).toBeLessThan(100_000);
    }
  },
);

it('refuses what it cannot measure', () => {
  const [isa] = addon.instructionSets;
  expect(() => addon.measurePeak('mmx', 1, 2)).toThrow(RangeError);
  for (const [threads, milliseconds] of [
    [0, 2],
    [257, 2],
    [1.5, 2],
    [1, 0],
    [1, 201],
    [1, Number.NaN],
  ]) {
    expect(() => addon.measurePeak(isa, threads, milliseconds)).toThrow(TypeError);
  }
  expect(() => addon.measurePeak(isa, 1, '2' as unknown as number)).toThrow(TypeError);
  expect(() => (addon.measurePeak as () => number)()).toThrow(TypeError);
});
