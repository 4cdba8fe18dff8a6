import type { Explanation } from '../../model/explain/explanation.js';
import { digits } from './numbers.js';
import { nameOf } from './subject.js';

/** What an explanation says in words, the same on a terminal and on a page. */

/** The rule of the step, where it is short enough to do by hand. */
function ruleText({ step }: Explanation): string {
  const { optimizer, learningRate } = step;
  const shown = digits(learningRate, 3);
  return optimizer === 'sgd'
    ? `With sgd at learning rate ${shown}: after = before - ${shown} x gradient.`
    : `With ${optimizer} at learning rate ${shown}, which makes its own steps of the gradients.`;
}

/** What loss and gradient are. */
export const lossText = (explanation: Explanation): string =>
  `The loss says how wrong the answer is: minus the logarithm of the probability of ${nameOf(explanation, explanation.label)}, the ` +
  `label. Here it is ${digits(explanation.step.lossBefore)}. The gradient of a weight is how fast the loss grows with it. ` +
  'Back-propagation finds it for every weight, from the last layer to the first, and a step moves each weight against it. ' +
  `${ruleText(explanation)} ${trainingRemark(explanation)}`.trim();

/** How a pixel counts. */
export const reasonText = ({ contributions }: Explanation): string => {
  const means =
    contributions.answer.method === 'weights'
      ? 'A pixel counts its brightness times its weight.'
      : 'A pixel counts its brightness times how fast the logit grows with it (gradient x input).';
  return `The logit of each class is a sum. ${means} Nothing is left out: the parts add up to the logits.`;
};

/** Where training works otherwise than the network that answers; empty where it does not. */
function trainingRemark({ layers, step }: Explanation): string {
  if (step.trainingLoss === step.lossBefore) return '';
  const has = (type: string) => layers.some((layer) => layer.type === type);
  const ofRows = layers.some(({ type, shape }) => type === 'batchNormalization' && shape.length === 1);
  return [
    has('dropout') && 'Dropout leaves numbers out in training.',
    has('batchNormalization') &&
      'Batch normalization takes mean and spread of the batch in training, here of this one image.',
    ofRows && 'With one image, that leaves 0 of every number of a row, so nothing before it learns.',
  ]
    .filter(Boolean)
    .join(' ');
}
