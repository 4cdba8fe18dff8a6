import type { OpName } from '../../src/program/ops.js';
import type { RandomStream } from '../../src/random.js';
import { classes, type Fill, normal, type OpSetupBuilder, positive, wide } from './op-harness.js';

/** The losses, besides softmaxCrossEntropy; see op-cases.ts. */

type AddCase = (op: OpName, options: string, rows: number, declare: (builder: OpSetupBuilder) => void) => void;

const logits: Fill = (stream) => Math.fround(4 * stream.normal());
/** Shares as they come: rows need not sum to 1 for the arithmetic. Some are 0, and some are equal. */
const shares: Fill = (stream) => stream.below(5) / 8;
/** 0, 1 and what is between. */
const labels: Fill = (stream) => stream.below(5) / 4;
/** Some classes count for nothing. */
const weights: Fill = (stream) => (stream.uniform() < 0.2 ? 0 : positive(stream));
/** Class indices, some of which no class has. */
const strays =
  (columns: number): Fill =>
  (stream: RandomStream) =>
    stream.below(columns + 2) - 1;
/** Differences of every size, some of which are exactly 0, 1 and -1. */
const differences: Fill = (stream) => (stream.uniform() < 0.3 ? stream.below(3) - 1 : Math.fround(2 * stream.normal()));
/** Not a number, and what it comes from. */
const broken: Fill = (stream) => [Number.NaN, Infinity, -Infinity, 1, 0][stream.below(5)];

export function addLossCases(add: AddCase, shapes: readonly (readonly [number, number])[]): void {
  for (const [rows, columns] of shapes) {
    const size = `[${rows}, ${columns}]`;
    for (const hasGradient of [true, false]) {
      const options = hasGradient ? '' : ' without gradient';
      addCrossEntropies(add, rows, columns, hasGradient, `${options} ${size}`);
      for (const [kind, fill] of [
        ['normal', logits],
        ['wide', wide],
        ['broken', broken],
      ] as const) {
        for (const labelSmoothing of [0, 0.1]) {
          const name = `smoothing ${labelSmoothing} ${kind}${options} ${size}`;
          add('binaryCrossEntropy', name, rows, (builder) => {
            builder.add({
              op: 'binaryCrossEntropy',
              logits: builder.batched('logits', columns, fill),
              targets: builder.batched('targets', columns, labels),
              dLogits: hasGradient ? builder.batched('dLogits', columns) : null,
              labelSmoothing,
            });
          });
        }
      }
      for (const [kind, fill] of [
        ['normal', normal],
        ['differences', differences],
        ['broken', broken],
      ] as const) {
        const fields = (builder: OpSetupBuilder) => ({
          predictions: builder.batched('predictions', columns, fill),
          targets: builder.batched('targets', columns, kind === 'normal' ? normal : () => 0),
          dPredictions: hasGradient ? builder.batched('dPredictions', columns) : null,
        });
        for (const op of ['meanSquaredError', 'meanAbsoluteError'] as const) {
          add(op, `${kind}${options} ${size}`, rows, (builder) => builder.add({ op, ...fields(builder) }));
        }
        for (const delta of [1, 0.3]) {
          add('huber', `delta ${delta} ${kind}${options} ${size}`, rows, (builder) =>
            builder.add({ op: 'huber', ...fields(builder), delta }),
          );
        }
      }
    }
  }
}

function addCrossEntropies(add: AddCase, rows: number, columns: number, hasGradient: boolean, options: string): void {
  for (const [kind, logit, label] of [
    ['indices', logits, classes(columns)],
    ['strays', logits, strays(columns)],
    ['ties', classes(3), classes(columns)],
    ['shares', logits, null],
    ['broken logits', broken, null],
  ] as const) {
    for (const [isWeighted, labelSmoothing] of [
      [true, 0],
      [false, 0.1],
      [true, 0.1],
    ] as const) {
      const weighted = isWeighted ? ' weighted' : '';
      add('crossEntropy', `${kind}${weighted} smoothing ${labelSmoothing}${options}`, rows, (builder) => {
        builder.add({
          op: 'crossEntropy',
          logits: builder.batched('logits', columns, logit),
          targets: label ? builder.classes('targets', label) : builder.batched('targets', columns, shares),
          weights: isWeighted ? builder.persistent('weights', 'slot', [columns], weights) : null,
          dLogits: hasGradient ? builder.batched('dLogits', columns) : null,
          labelSmoothing,
        });
      });
    }
  }
}
