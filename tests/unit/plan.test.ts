import { describe, expect, it } from 'vitest';
import { ProgramBuilder } from '../../src/program/builder.js';
import { buffersOf } from '../../src/program/op-fields.js';
import { ALIGNMENT, type PlannedBuffer, planMemory } from '../../src/program/plan.js';
import type { Program, SectionName } from '../../src/program/program.js';
import { errorOf, failure } from '../helpers/toy.js';

/** A chain of `widths.length - 1` activations in each section, over one parameter and one slot. */
function chain(widths: number[], sections: SectionName[] = ['train', 'evaluate', 'infer'], capacity = 3): Program {
  const builder = new ProgramBuilder();
  for (const name of sections) {
    builder.section(name, capacity);
    builder.persistent('weights', 'parameter', [5, 7]);
    builder.persistent('bias', 'parameter', [1]);
    builder.persistent('velocity', 'slot', [5, 7]);
    const buffers = widths.map((width, i) => builder.batched(`x${i}`, [width]));
    for (let i = 1; i < buffers.length; i++) {
      builder.add({
        op: 'activation',
        input: buffers[i - 1],
        output: buffers[i],
        activation: 'relu',
        negativeSlope: 0,
      });
    }
    if (name === 'infer') builder.endpoints(buffers[0], buffers[buffers.length - 1]);
  }
  return builder.build();
}

const overlap = (a: PlannedBuffer, b: PlannedBuffer) =>
  a.offset < b.offset + b.byteLength && b.offset < a.offset + a.byteLength;

/** Pairs of a section's buffers that are needed at the same time and share memory. */
function clashes(program: Program, name: SectionName): string[] {
  const { buffers } = planMemory(program);
  const section = program.sections[name]!;
  const uses = (buffer: string) =>
    section.ops.flatMap((op, i) => (buffersOf(op).some((b) => b.name === buffer) ? [i] : []));
  const own = [...buffers.values()].filter(({ region }) => region === name);
  const found: string[] = [];
  own.forEach((a, i) => {
    for (const b of own.slice(0, i)) {
      const [usesA, usesB] = [a, b].map(({ spec }) => {
        const steps = uses(spec.name);
        if (spec.name === section.input || steps.length === 0) steps.push(-1);
        if (spec.name === section.output || steps.length === 0) steps.push(section.ops.length);
        return steps;
      });
      const together = Math.min(...usesA) <= Math.max(...usesB) && Math.min(...usesB) <= Math.max(...usesA);
      if (together && overlap(a, b)) found.push(`${a.spec.name} and ${b.spec.name}`);
    }
  });
  return found;
}

describe('planMemory', () => {
  it('refuses a model that no memory holds, in words', () => {
    const message = /at most 1099511627776 bytes for the memory of a prediction, received \d{13}/;
    expect(errorOf(() => planMemory(chain([2 ** 38, 1], ['infer'])))).toEqual(failure('ERR_SHAPE', message));
  });

  const widths = [[1], [4, 4], [17, 3, 90, 3, 17], [5, 300, 1, 300, 5, 40], [1, 2, 3, 4, 5, 6, 7, 8]];

  it.each(widths)('aligns every buffer and keeps it inside its region: %j', (...shape) => {
    const { buffers, sizes } = planMemory(chain(shape));
    for (const { offset, byteLength, region, rows, columns } of buffers.values()) {
      expect(offset % ALIGNMENT).toBe(0);
      expect(byteLength).toBe(rows * columns * 4);
      expect(offset + byteLength).toBeLessThanOrEqual(sizes[region]);
    }
    for (const size of Object.values(sizes)) expect(size % ALIGNMENT).toBe(0);
  });

  it.each(widths)('never gives live buffers the same memory: %j', (...shape) => {
    const program = chain(shape);
    for (const name of ['evaluate', 'infer'] as const) expect(clashes(program, name)).toEqual([]);
  });

  it('keeps all of training apart, and what outlives a step', () => {
    const { buffers } = planMemory(chain([17, 3, 90, 3, 17]));
    for (const region of ['train', 'parameters', 'slots']) {
      const own = [...buffers.values()].filter((buffer) => buffer.region === region);
      expect(own.length).toBeGreaterThan(0);
      own.forEach((a, i) => {
        for (const b of own.slice(0, i)) expect(overlap(a, b), `${a.spec.name} and ${b.spec.name}`).toBe(false);
      });
    }
    expect(buffers.get('weights')!.region).toBe('parameters');
    expect(buffers.get('velocity')!.region).toBe('slots');
  });

  it('reuses what nobody reads any more: a long chain needs two buffers besides its ends', () => {
    const { sizes } = planMemory(chain(new Array(12).fill(16), undefined, 1));
    expect(sizes.train).toBe(12 * 64);
    expect(sizes.evaluate).toBe(2 * 64);
    // The input is free after the first op; the output must stay.
    expect(sizes.infer).toBeLessThanOrEqual(3 * 64);
  });

  it('keeps the answer of inference to the end of the step, and the question from its beginning', () => {
    const builder = new ProgramBuilder().section('infer', 1);
    const names = ['late', 'answer', 'b', 'c', 'question'].map((name) => builder.fixed(name, [16]));
    const [late, answer, b, c, question] = names;
    const activation = { op: 'activation', activation: 'relu', negativeSlope: 0 } as const;
    builder.add({ ...activation, input: late, output: answer });
    builder.add({ ...activation, input: answer, output: b });
    builder.add({ ...activation, input: b, output: c });
    builder.add({ ...activation, input: question, output: c });
    builder.endpoints(question, answer);
    const { buffers } = planMemory(builder.build());
    for (const endpoint of [question, answer]) {
      const others = names.filter((name) => name !== endpoint);
      for (const name of others) expect(overlap(buffers.get(name)!, buffers.get(endpoint)!), name).toBe(false);
    }
    expect(overlap(buffers.get(late)!, buffers.get(b)!)).toBe(true);
  });

  it('gives a buffer that no op names memory of its own', () => {
    const builder = new ProgramBuilder().section('evaluate', 1);
    const [a, b] = [builder.fixed('a', [16]), builder.fixed('b', [16])];
    builder.fixed('idle', [16]);
    builder.add({ op: 'activation', input: a, output: b, activation: 'relu', negativeSlope: 0 });
    const program = builder.build();
    expect(clashes(program, 'evaluate')).toEqual([]);
    expect(planMemory(program).sizes.evaluate).toBe(3 * 64);
  });

  it('reads rows and columns off the shape', () => {
    const { buffers } = planMemory(chain([6]));
    expect(buffers.get('weights')).toMatchObject({ rows: 5, columns: 7 });
    expect(buffers.get('bias')).toMatchObject({ rows: 1, columns: 1 });
    expect(buffers.get('train/x0')).toMatchObject({ rows: 3, columns: 6 });
  });
});
