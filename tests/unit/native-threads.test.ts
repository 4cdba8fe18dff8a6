import { describe, expect, it } from 'vitest';
import { usefulThreads } from '../../src/backends/native/threads.js';
import { conv2d, globalAveragePooling2d } from '../../src/index.js';
import { ProgramBuilder } from '../../src/program/builder.js';
import { planMemory } from '../../src/program/plan.js';
import type { SectionName } from '../../src/program/program.js';
import { opsOf } from '../helpers/lowering.js';

/** The threads, of eight, that a dense layer's forward pass gets. */
function threadsOf(rows: number, inputs: number, units: number): number {
  const builder = new ProgramBuilder().section('infer', rows);
  const weights = builder.persistent('weights', 'parameter', [inputs, units]);
  const input = builder.batched('input', [inputs]);
  const output = builder.batched('output', [units]);
  builder.add({ op: 'dense', input, weights, bias: null, output, activation: 'linear', negativeSlope: 0 });
  builder.endpoints(input, output);
  const program = builder.build();
  return usefulThreads(program, planMemory(program), 8);
}

describe('usefulThreads', () => {
  it('gives small steps one thread and large ones all that are available', () => {
    expect(threadsOf(1, 6, 3)).toBe(1);
    expect(threadsOf(1, 784, 128)).toBe(1);
    expect(threadsOf(32, 784, 128)).toBe(3);
    expect(threadsOf(128, 784, 128)).toBe(8);
  });

  it('counts a convolution by its positions, and on the way back for weights and input each', () => {
    const filters = [16, 8];
    const layers = filters.map((each) => conv2d({ filters: each, kernelSize: 3, padding: 'same' }));
    const { program } = opsOf([...layers, globalAveragePooling2d()], [24, 24, 8]);
    const only = (name: SectionName) => ({ ...program, sections: { [name]: program.sections[name]! } });
    const threads = (name: SectionName) => usefulThreads(only(name), planMemory(program), 256);
    // A layer takes 24 · 24 positions · 72 or 144 weights · 16 or 8 filters = 663,552 multiply-adds a sample.
    const layer = (24 * 24 * 72 * 16) / 1e6;
    expect(threads('infer')).toBeGreaterThanOrEqual(Math.floor(2 * 2 * layer));
    expect(threads('infer')).toBeLessThan(2 * 2 * layer * 1.2);
    // Forward twice; back three times, since nothing before the first layer learns.
    expect(threads('train')).toBeGreaterThanOrEqual(Math.floor(20 * 5 * layer));
    expect(threads('train')).toBeLessThan(20 * 5 * layer * 1.2);
  });
});
