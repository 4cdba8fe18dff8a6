import { buffersOf } from '../../program/op-fields.js';
import type { Op, Windows } from '../../program/ops.js';
import type { MemoryPlan } from '../../program/plan.js';
import type { Program } from '../../program/program.js';

/**
 * Multiply-adds per step that make another thread worth its barriers: about 20 µs of work. Below, a second thread gains
 * nothing, and on a busy machine it costs: whoever waits at a barrier waits for the other's time slice.
 */
const WORK_PER_THREAD = 1_000_000;
/** What an element of an op that is no matrix product counts, in multiply-adds. */
const WORK_PER_ELEMENT = 4;

/** How many of the available threads a program's largest section can use. */
export function usefulThreads(program: Program, layout: MemoryPlan, available: number): number {
  const works = Object.values(program.sections).map(({ ops }) => ops.reduce((sum, op) => sum + workOf(op, layout), 0));
  return Math.min(available, Math.max(1, Math.floor(Math.max(...works) / WORK_PER_THREAD)));
}

const positionsOf = ({ outputHeight, outputWidth }: Windows, images: number) => images * outputHeight * outputWidth;

function workOf(op: Op, layout: MemoryPlan): number {
  const sizeOf = (name: string) => layout.buffers.get(name)!.rows * layout.buffers.get(name)!.columns;
  switch (op.op) {
    case 'matmul':
      return sizeOf(op.a) * layout.buffers.get(op.output)!.columns;
    case 'dense':
      return sizeOf(op.output) * layout.buffers.get(op.weights)!.rows;
    case 'denseBackward':
      return sizeOf(op.dOutput) * layout.buffers.get(op.weights)!.rows * ((op.dWeights ? 1 : 0) + (op.dInput ? 1 : 0));
    case 'conv2d':
      return positionsOf(op, layout.buffers.get(op.output)!.rows) * sizeOf(op.weights);
    case 'conv2dBackward':
      return (
        positionsOf(op, layout.buffers.get(op.dOutput)!.rows) *
        sizeOf(op.weights) *
        ((op.dWeightParts ? 1 : 0) + (op.dInput ? 1 : 0))
      );
    default:
      return Math.max(...buffersOf(op).map(({ name }) => sizeOf(name))) * WORK_PER_ELEMENT;
  }
}
