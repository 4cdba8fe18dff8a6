import { describe, expect, it } from 'vitest';
import { usefulThreads } from '../../src/backends/native/threads.js';
import { ProgramBuilder } from '../../src/program/builder.js';
import { planMemory } from '../../src/program/plan.js';

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
});
