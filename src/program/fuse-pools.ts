import { touches } from './op-fields.js';
import type { Conv2dOp, MaxPool2dOp, Op, OpOf } from './ops.js';
import type { Section } from './program.js';

/** The largest of 2 × 2, without overlap: what a convolution can do on its way out. */
const isPoolOfFour = (op: Op): op is MaxPool2dOp =>
  op.op === 'maxPool2d' &&
  [op.kernelHeight, op.kernelWidth, op.strideY, op.strideX].every((value) => value === 2) &&
  op.padTop === 0 &&
  op.padLeft === 0 &&
  op.outputHeight === Math.floor(op.inputHeight / 2) &&
  op.outputWidth === Math.floor(op.inputWidth / 2);

/** What a pool's backward pass consists of, in order. */
interface PoolBackward {
  /** From the gradient of the pools to that of their positions. */
  unpool: OpOf<'maxPool2dBackward'>;
  /** The derivative of the convolution's activation, where it has one. */
  activation: OpOf<'activationBackward'> | null;
  convolution: OpOf<'conv2dBackward'> | null;
}

/**
 * Moves a 2 × 2 max-pool into the convolution before it, forward and backward: the convolution then stores the pools'
 * maxima alone, and its gradients go from winner to winner. Changes no bit: linear and relu keep the order of values, so
 * the largest of the four has the largest output, and what is not a winner has no gradient.
 */
export function fusePools(section: Section): Section {
  let { ops } = section;
  for (const pool of ops.filter(isPoolOfFour)) {
    const convolution = ops.find((op): op is Conv2dOp => op.op === 'conv2d' && op.output === pool.input);
    if (!convolution || section.output === convolution.output) continue;
    ops = fusePool(ops, convolution, pool) ?? ops;
  }
  return ops === section.ops ? section : { ...section, ops };
}

/** Null where somebody else needs what would not be there any more. */
function fusePool(ops: readonly Op[], convolution: Conv2dOp, pool: MaxPool2dOp): Op[] | null {
  const { activation } = convolution;
  if (convolution.pool || (activation !== 'linear' && activation !== 'relu')) return null;
  const backward = backwardOf(ops, convolution, pool);
  const known: Op[] = [convolution, pool];
  if (backward) known.push(...[backward.unpool, backward.activation, backward.convolution].filter((op) => op !== null));
  const positions = [convolution.output, ...(backward ? [backward.unpool.dInput] : [])];
  if (ops.some((op) => !known.includes(op) && positions.some((name) => touches(op, name)))) return null;
  const changed = new Map<Op, Op | null>([
    [convolution, { ...convolution, output: pool.output, winners: pool.winners, pool: true }],
    [pool, null],
  ]);
  if (backward) {
    const { dOutput, winners } = backward.unpool;
    // The derivative is applied in place, so the gradient of the pools must have no other reader from here on.
    const place = ops.indexOf(backward.unpool);
    if (ops.slice(place + 1).some((op) => touches(op, dOutput))) return null;
    changed.set(backward.unpool, null);
    if (backward.activation) {
      changed.set(backward.activation, { ...backward.activation, reference: pool.output, dOutput, dInput: dOutput });
    }
    if (backward.convolution)
      changed.set(backward.convolution, { ...backward.convolution, dOutput, winners, pool: true });
  }
  return ops.flatMap((op) => (changed.has(op) ? (changed.get(op) ?? []) : op));
}

function backwardOf(ops: readonly Op[], convolution: Conv2dOp, pool: MaxPool2dOp): PoolBackward | null {
  const unpool = ops.find(
    (op): op is PoolBackward['unpool'] => op.op === 'maxPool2dBackward' && op.winners === pool.winners,
  );
  if (!unpool) return null;
  const { dInput } = unpool;
  const activation = ops.find(
    (op): op is OpOf<'activationBackward'> =>
      op.op === 'activationBackward' &&
      op.reference === convolution.output &&
      op.dOutput === dInput &&
      op.dInput === dInput,
  );
  const backward = ops.find(
    (op): op is OpOf<'conv2dBackward'> => op.op === 'conv2dBackward' && op.dOutput === dInput && !op.pool,
  );
  return { unpool, activation: activation ?? null, convolution: backward ?? null };
}
