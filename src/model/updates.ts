import type { Clipping, Optimizer } from '../optimizers/optimizer.js';
import type { ProgramBuilder } from '../program/builder.js';
import type { BufferName } from '../program/ops.js';
import type { Parameter } from './stack.js';

/** The end of a training step: what becomes of the gradients, and what they do to the weights. */

/** The buffer of a parameter's gradient. */
export const gradientOf = (parameter: BufferName): BufferName => `train/${parameter}.gradient`;

/** The buffer of a parameter's moving average. */
const averageOf = (parameter: BufferName): BufferName => `${parameter}.average`;

/** The averages that an optimizer keeps, by their parameter: what evaluation, prediction and users see in its place. */
export function averagesOf(
  parameters: readonly Parameter[],
  optimizer: Optimizer | undefined,
): ReadonlyMap<BufferName, BufferName> {
  const averaged = optimizer?.averages ? parameters.filter(({ spec }) => spec.trainable) : [];
  return new Map(averaged.map(({ name }) => [name, averageOf(name)]));
}

/**
 * Penalties join the gradients, which are then clipped; the optimizer takes them; constraints act on what it made of the
 * weights, and averages are of what came of that.
 */
export function lowerUpdates(builder: ProgramBuilder, parameters: readonly Parameter[], optimizer: Optimizer): void {
  const trainable = parameters.filter(({ spec }) => spec.trainable);
  for (const { name: parameter, spec } of trainable) {
    const { l1 = 0, l2 = 0 } = spec.regularizer ?? {};
    if (l1 > 0 || l2 > 0) builder.add({ op: 'regularize', parameter, gradient: gradientOf(parameter), l1, l2 });
  }
  if (optimizer.clipping) lowerClipping(builder, trainable, optimizer.clipping);
  const scalars = optimizer.scalarNames.map((name) => builder.scalar(name));
  for (const { name } of trainable) optimizer.lower(builder, name, gradientOf(name), scalars);
  for (const { name: parameter, spec } of trainable) {
    if (spec.constraint) builder.add({ op: 'maxNorm', parameter, maxValue: spec.constraint.maxNorm });
  }
  if (!optimizer.averages) return;
  const rate = scalars[scalars.length - 1];
  for (const { name: parameter } of trainable) {
    builder.add({ op: 'average', parameter, average: averageOf(parameter), rate });
  }
}

function lowerClipping(builder: ProgramBuilder, trainable: readonly Parameter[], { by, limit }: Clipping): void {
  const gradients = trainable.map(({ name }) => gradientOf(name));
  if (by === 'value') {
    for (const gradient of gradients) builder.add({ op: 'clipByValue', gradient, limit });
    return;
  }
  const total = builder.fixed('squaredNorm', [1]);
  const squares = trainable.map(({ name, spec }) => builder.fixed(`${name}.squares`, [spec.shape.at(-1)!]));
  gradients.forEach((gradient, place) => {
    builder.add({ op: 'columnSquares', gradient, output: squares[place] });
  });
  squares.forEach((each, place) => {
    builder.add({ op: 'addSquares', squares: each, total, first: place === 0 });
  });
  for (const gradient of gradients) builder.add({ op: 'clipByGlobalNorm', gradient, total, maxNorm: limit });
}
