import type { BufferName, Op } from './ops.js';

export type ElementType = 'float32' | 'int32';
export type SectionName = 'train' | 'evaluate' | 'infer';
/** What a buffer is for. Parameters and slots outlive a step; the rest belongs to one section. */
export type BufferRole = 'parameter' | 'slot' | 'gradient' | 'input' | 'target' | 'activation';

export interface BufferSpec {
  name: BufferName;
  /** Row-major; the first dimension of a batched buffer is its section's capacity. */
  shape: readonly number[];
  type: ElementType;
  role: BufferRole;
  /** The section whose memory it lives in; null for parameters and slots. */
  section: SectionName | null;
  /** True when only the rows of the running step are used. */
  batched: boolean;
  /**
   * What a parameter or slot holds before anything was written to it: one number throughout, all the numbers, or what
   * another buffer of its shape holds. Default 0.
   */
  initial?: number | readonly number[] | BufferName;
  /** True when a backend may hold it as lists of its non-zeros: only gather, dense and denseBackward touch it. */
  sparse?: boolean;
}

export interface Section {
  /** The most samples in one step. */
  capacity: number;
  ops: readonly Op[];
  /** Where `infer` puts the caller's samples, and where it reads the answer. */
  input: BufferName | null;
  output: BufferName | null;
}

/** The number of float64 metrics each step reports: 0 the summed loss, 1 the number of correct answers. */
export const METRICS_PER_STEP = 2;

/** A model made flat: operations over named buffers, planned before the first step. */
export interface Program {
  buffers: readonly BufferSpec[];
  sections: Readonly<Partial<Record<SectionName, Section>>>;
  /** What each of a step's scalars is, for listings; ops name them by index. */
  scalars: readonly string[];
}

/** The number of elements of a shape. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, 1);
}

/** A buffer as a matrix: batched ones have a sample a row; others keep their last dimension as columns. */
export function matrixOf(buffer: BufferSpec): { rows: number; columns: number } {
  const { shape } = buffer;
  const rows = buffer.batched ? shape[0] : sizeOf(shape.slice(0, -1));
  return { rows, columns: sizeOf(shape) / rows };
}
