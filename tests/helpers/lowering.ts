import type { Layer } from '../../src/index.js';
import { categoricalCrossentropy } from '../../src/losses/categorical-crossentropy.js';
import type { Loss } from '../../src/losses/loss.js';
import { lowerModel } from '../../src/model/lower.js';
import { buildStack } from '../../src/model/stack.js';
import type { Optimizer } from '../../src/optimizers/optimizer.js';
import { sgd } from '../../src/optimizers/sgd.js';
import type { Op, OpName, OpOf } from '../../src/program/ops.js';

/** A model as it is lowered for steps of at most 20 samples in training, 8 in evaluation and 2 in inference. */
export function opsOf(
  layers: readonly Layer[],
  inputShape: readonly number[],
  loss: Loss = categoricalCrossentropy(),
  optimizer: Optimizer = sgd(),
) {
  const stack = buildStack(layers, inputShape);
  const capacities = { train: 20, evaluate: 8, infer: 2 };
  const program = lowerModel(stack, { loss, optimizer }, capacities, 42);
  const ops = (section: 'train' | 'evaluate' | 'infer') => program.sections[section]!.ops as readonly Op[];
  return { program, train: ops('train'), evaluate: ops('evaluate'), infer: ops('infer') };
}

export const namesOf = (ops: readonly Op[]) => ops.map(({ op }) => op);

/** The ops of one name, in order. */
export function only<K extends OpName>(ops: readonly Op[], name: K): OpOf<K>[] {
  return ops.filter((op): op is OpOf<K> => op.op === name);
}
