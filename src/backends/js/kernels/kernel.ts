import { expected, MnistTrainError } from '../../../errors.js';
import type { BufferName, OpName, OpOf } from '../../../program/ops.js';

/** A float32 buffer as a matrix. Batched ones have a sample a row, and only the rows of the running step count. */
export interface FloatMatrix {
  name: BufferName;
  values: Float32Array;
  rows: number;
  columns: number;
  batched: boolean;
}

/** The same for class indices. */
export interface IntegerMatrix extends Omit<FloatMatrix, 'values'> {
  values: Int32Array;
}

/** Samples that a backend has copied; of each pair exactly one array is there. */
export interface StepData {
  pixels: Uint8Array | null;
  floats: Float32Array | null;
  classes: Int32Array | null;
  values: Float32Array | null;
}

/** What a kernel needs to know about the running step. One object per session section, changed in place. */
export interface Step {
  /** Samples in this step. */
  rows: number;
  /** The step's samples are order[start] ... order[start + rows - 1]. */
  start: number;
  order: Uint32Array;
  /** Added to a sample's index, modulo 2^32, where random numbers are drawn by it. */
  firstIndex: number;
  data: StepData;
  /** The step's row of scalars begins at scalarOffset. */
  scalars: Float32Array;
  scalarOffset: number;
  /** The step's metrics begin at metricOffset. */
  metrics: Float64Array;
  metricOffset: number;
}

/** Does one op's work. Allocates nothing and cannot fail. */
export type Kernel = (step: Step) => void;

/** How a kernel finds its memory while a session opens. */
export interface KernelContext {
  /** The most samples in one step of the section. */
  readonly capacity: number;
  float(name: BufferName): FloatMatrix;
  integer(name: BufferName): IntegerMatrix;
  isInteger(name: BufferName): boolean;
}

/** Resolves an op's buffers, checks their shapes and returns the closure that runs it. */
export type PrepareKernel<K extends OpName> = (op: OpOf<K>, context: KernelContext) => Kernel;

type AnyMatrix = FloatMatrix | IntegerMatrix;

/** The rows that count in this step. */
export function rowsIn(matrix: AnyMatrix, step: Step): number {
  return matrix.batched ? step.rows : matrix.rows;
}

/** Checks that a matrix has `columns` columns. */
export function requireColumns(op: OpName, matrix: AnyMatrix, columns: number): void {
  if (matrix.columns !== columns) {
    const name = `buffer ${matrix.name} of ${op}`;
    throw expected(
      `${columns} columns`,
      name,
      matrix.columns,
      'Declare it in the shape that the op states.',
      'ERR_SHAPE',
    );
  }
}

/** Checks that two matrices have the same rows: both a sample a row, or both the same fixed number. */
export function requireSameRows(op: OpName, matrix: AnyMatrix, other: AnyMatrix): void {
  if (matrix.batched !== other.batched || matrix.rows !== other.rows) {
    throw new MnistTrainError(
      'ERR_SHAPE',
      `Expected the same rows for buffers ${matrix.name} and ${other.name} of ${op}, received ${describeRows(matrix)} ` +
        `and ${describeRows(other)}. Declare both as batched or both with the same first dimension.`,
    );
  }
}

/** Checks that two matrices have the same rows and columns. */
export function requireSameShape(op: OpName, matrix: AnyMatrix, other: AnyMatrix): void {
  requireSameRows(op, matrix, other);
  requireColumns(op, matrix, other.columns);
}

function describeRows(matrix: AnyMatrix): string {
  return matrix.batched ? `one row per sample (capacity ${matrix.rows})` : `${matrix.rows} rows`;
}
