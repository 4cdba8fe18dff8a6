import type { JsonValue } from '../json.js';
import type { BufferName, HuberOp, MeanAbsoluteErrorOp, MeanSquaredErrorOp } from '../program/ops.js';
import type { Loss } from './loss.js';

interface RegressionFields {
  predictions: BufferName;
  targets: BufferName;
  dPredictions: BufferName | null;
}

/** What losses on numbers share: they take any output, and nothing is right or wrong. `makeOp` makes their op. */
export function regressionLoss(
  name: string,
  config: Readonly<Record<string, JsonValue>>,
  makeOp: (fields: RegressionFields) => MeanSquaredErrorOp | MeanAbsoluteErrorOp | HuberOp,
): Loss {
  return Object.freeze<Loss>({
    name,
    config,
    targets: 'values',
    activation: null,
    hasAccuracy: false,
    checkOutput: () => {},
    lower: (builder, predictions, targets, units, training) => {
      const dPredictions = training ? builder.batched('loss.dOutput', [units]) : null;
      builder.add(makeOp({ predictions, targets, dPredictions }));
      return dPredictions;
    },
  });
}
