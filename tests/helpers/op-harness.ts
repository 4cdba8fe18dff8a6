import type { Backend, Samples } from '../../src/backends/backend.js';
import { atOnce } from '../../src/pieces.js';
import { ProgramBuilder } from '../../src/program/builder.js';
import { buffersOf } from '../../src/program/op-fields.js';
import { type BufferName, type Op, partsOf } from '../../src/program/ops.js';
import { type BufferSpec, type Program, sizeOf } from '../../src/program/program.js';
import { RandomPurpose, RandomStream } from '../../src/random.js';
import { writeNow } from './sessions.js';

/** Makes the values of one buffer. */
export type Fill = (stream: RandomStream) => number;

export const normal: Fill = (stream) => Math.fround(stream.normal());
/** Like pixels and what leaves a ReLU: mostly exact zeros. */
export const sparse: Fill = (stream) => (stream.uniform() < 0.6 ? 0 : Math.fround(stream.normal()));
export const positive: Fill = (stream) => stream.uniform() + 2 ** -20;
/** Slots on their way to nothing: normal and subnormal numbers around 2^-126, where slots are flushed. */
export const tiny: Fill = (stream) => Math.fround(stream.uniform() * 2 ** -125);
/** Arguments of activation functions: both signs, from next to nothing to where they saturate, and edge values. */
export const wide: Fill = (stream) => {
  const edges = [0, -0, 1e-30, -1e-30, 0.625, -0.625, 88, -88, 200, -200];
  if (stream.uniform() < 0.2) return Math.fround(edges[stream.below(edges.length)]);
  return Math.fround(stream.normal() * 10 ** (4 * stream.uniform() - 2));
};
export const classes =
  (count: number): Fill =>
  (stream) =>
    stream.below(count);

/** What a buffer holds that a run has not written. A kernel that writes past its rows changes it. */
const SENTINEL = 12345.678;
/** Rows of every batched buffer past the step's rows. */
const PADDING = 2;

/** A program of one op (or a few) with the values of what it reads. */
export interface OpSetup {
  program: Program;
  ops: readonly Op[];
  /** Samples in the step. */
  rows: number;
  /** By short name, without the section; the live rows only. Tests may change them. */
  inputs: Record<string, Float32Array>;
  scalars: Float32Array;
  samples: Samples | null;
  order: Uint32Array;
  /** Rows that count in this step, of the buffers that are not batched and still have others: those of parts. */
  liveRows: ReadonlyMap<BufferName, number>;
}

export interface OpResult {
  /** By short name, the live rows of everything that the ops write. */
  outputs: Record<string, Float32Array>;
  loss: number;
  correct: number;
}

/** Declares the buffers of an op, with their values where it reads them. */
export class OpSetupBuilder {
  readonly #builder: ProgramBuilder;
  readonly #stream: RandomStream;
  readonly #rows: number;
  readonly #inputs: Record<string, Float32Array> = {};
  readonly #scalars: number[] = [];
  readonly #ops: Op[] = [];
  readonly #liveRows = new Map<BufferName, number>();
  #samples: Samples | null = null;
  #order: Uint32Array;

  constructor(rows: number, seed: number) {
    this.#rows = rows;
    this.#stream = new RandomStream(seed, RandomPurpose.initialize);
    this.#builder = new ProgramBuilder().section('train', rows + PADDING);
    this.#order = new Uint32Array(rows);
  }

  #fill(name: string, length: number, fill: Fill | undefined): void {
    if (fill) this.#inputs[name] = Float32Array.from({ length }, () => fill(this.#stream));
  }

  /** A row of `columns` values per sample. Without `fill` it is an output. */
  batched(name: string, columns: number, fill?: Fill): BufferName {
    this.#fill(name, this.#rows * columns, fill);
    return this.#builder.batched(name, [columns]);
  }

  /** A class index per sample. */
  classes(name: string, fill?: Fill): BufferName {
    this.#fill(name, this.#rows, fill);
    return this.#builder.batched(name, [], 'target', 'int32');
  }

  /** `columns` whole numbers per sample. */
  integers(name: string, columns: number, fill?: Fill): BufferName {
    this.#fill(name, this.#rows * columns, fill);
    return this.#builder.batched(name, [columns], 'activation', 'int32');
  }

  /** `shape` for each part of the capacity's samples. What the parts past the step's samples hold is nobody's business. */
  parts(name: string, shape: readonly number[], fill?: Fill): BufferName {
    const live = partsOf(this.#rows);
    this.#fill(name, live * sizeOf(shape), fill);
    const buffer = this.#builder.fixed(name, [partsOf(this.#builder.capacity), ...shape]);
    this.#liveRows.set(buffer, live);
    return buffer;
  }

  fixed(name: string, shape: readonly number[], fill?: Fill): BufferName {
    this.#fill(name, sizeOf(shape), fill);
    return this.#builder.fixed(name, shape);
  }

  persistent(name: string, role: 'parameter' | 'slot', shape: readonly number[], fill: Fill): BufferName {
    this.#fill(name, sizeOf(shape), fill);
    return this.#builder.persistent(name, role, shape);
  }

  scalar(name: string, value: number): number {
    this.#scalars.push(value);
    return this.#builder.scalar(name);
  }

  /** The data that `gather` reads, and which of it; null where an op asks for the samples' indices only. */
  data(samples: Samples | null, order: Uint32Array): void {
    this.#samples = samples;
    this.#order = order;
  }

  add(op: Op): void {
    this.#builder.add(op);
    this.#ops.push(op);
  }

  build(): OpSetup {
    return {
      program: this.#builder.build(),
      ops: this.#ops,
      rows: this.#rows,
      inputs: this.#inputs,
      scalars: Float32Array.from(this.#scalars),
      samples: this.#samples,
      order: this.#order,
      liveRows: this.#liveRows,
    };
  }
}

/** Builds a setup: `declare` names buffers and adds ops. */
export function setUpOp(rows: number, seed: number, declare: (builder: OpSetupBuilder) => void): OpSetup {
  const builder = new OpSetupBuilder(rows, seed);
  declare(builder);
  return builder.build();
}

export const shortName = (name: BufferName) => name.replace(/^train\//, '');

/** Elements of a buffer that count in the step. */
const liveLength = ({ rows, liveRows }: OpSetup, { name, batched, shape }: BufferSpec) =>
  (batched ? rows : (liveRows.get(name) ?? shape[0])) * sizeOf(shape.slice(1));

/**
 * Runs a setup for one step and reads what it wrote. Padding rows and parts hold NaN where the ops read and a sentinel
 * where they write; an error says when a kernel wrote there.
 */
export async function runOp(backend: Backend, setup: OpSetup, threads?: number): Promise<OpResult> {
  const { program, ops, rows, inputs, scalars, samples, order } = setup;
  const session = backend.open(program, { threads });
  const data = samples ? atOnce(backend.bind(samples)) : null;
  try {
    for (const spec of program.buffers) {
      const live = inputs[shortName(spec.name)];
      const padding = live ? (spec.type === 'int32' ? -1 : Number.NaN) : SENTINEL;
      const values = new Float32Array(sizeOf(spec.shape)).fill(padding);
      if (live) values.set(live);
      writeNow(session, spec.name, values);
    }
    const { lossSum, correct } = await session.run('train', data, order, { batchSize: rows, scalars });
    const written = new Set(ops.flatMap(buffersOf).flatMap(({ name, writes }) => (writes ? [name] : [])));
    const outputs: Record<string, Float32Array> = {};
    for (const spec of program.buffers.filter(({ name }) => written.has(name))) {
      const values = atOnce(session.read(spec.name));
      const live = liveLength(setup, spec);
      const isInput = shortName(spec.name) in inputs;
      const kept = spec.type === 'int32' ? Math.trunc(SENTINEL) : Math.fround(SENTINEL);
      if (values.subarray(live).some((value) => (isInput ? !Number.isNaN(value) : value !== kept))) {
        throw new Error(`${ops.map(({ op }) => op)} wrote past the rows or parts of ${spec.name}`);
      }
      outputs[shortName(spec.name)] = values.slice(0, live);
    }
    return { outputs, loss: lossSum, correct };
  } finally {
    data?.dispose();
    session.dispose();
  }
}

/** Bits are equal, up to the sign of zero and the kind of NaN: docs/numerics.md, rule 4. */
function sameNumber(a: number, b: number): boolean {
  return a === b || (Number.isNaN(a) && Number.isNaN(b));
}

/** The first place where two results differ, in words; null where they are the same. */
export function firstDifference(actual: OpResult, wanted: OpResult): string | null {
  for (const [name, values] of Object.entries(wanted.outputs)) {
    const found = actual.outputs[name];
    if (found?.length !== values.length) return `${name}: ${found?.length} values instead of ${values.length}`;
    const index = values.findIndex((value, i) => !sameNumber(found[i], value));
    if (index >= 0) return `${name}[${index}]: ${found[index]} instead of ${values[index]}`;
  }
  if (!sameNumber(actual.loss, wanted.loss)) return `loss: ${actual.loss} instead of ${wanted.loss}`;
  return actual.correct === wanted.correct ? null : `correct: ${actual.correct} instead of ${wanted.correct}`;
}
