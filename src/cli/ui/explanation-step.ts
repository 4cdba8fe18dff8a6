import type { ExplainedGradient, ExplainedGradients, Explanation } from '../../index.js';
import { movedClasses, trainingRemark } from '../../report/explanation-words.js';
import { nameOf } from './explanation.js';
import { count, percent, rate } from './format.js';
import { wrapped } from './prose.js';
import { type Column, table } from './tables.js';

/** Gradients shown of each parameter: fewer where there are many parameters. */
const SHOWN = 2;
const SHOWN_OF_MANY = 1;
const MANY_PARAMETERS = 6;
const MOVED_CLASSES = 4;

export function stepLines(explanation: Explanation, width: number): string[] {
  const { step, label } = explanation;
  const name = nameOf(explanation, label);
  return [
    ...wrapped(
      `The loss says how wrong the answer is: minus the logarithm of the probability of ${name}, the label. Here it is ` +
        `${digits(step.lossBefore)}. The gradient of a weight is how fast the loss grows with it. Back-propagation finds it for ` +
        `every weight, from the last layer to the first, and a step moves each weight against it. ${ruleText(explanation)} ` +
        trainingRemark(explanation),
      width,
    ),
    ...gradientLines(step.parameters, width),
    ...wrapped(changeText(explanation), width),
  ];
}

/** As many digits as count: losses of sure answers are small. */
const digits = (value: number, count = 4): string => String(Number(value.toPrecision(count)));

function ruleText({ step }: Explanation): string {
  const { optimizer, learningRate } = step;
  const shown = rate(learningRate);
  return optimizer === 'sgd'
    ? `With sgd at learning rate ${shown}: after = before - ${shown} x gradient.`
    : `With ${optimizer} at learning rate ${shown}, which makes its own steps of the gradients.`;
}

/** A table of the largest gradients, with a line before those of each parameter. */
function gradientLines(parameters: readonly ExplainedGradients[], width: number): string[] {
  const moved = parameters.filter(({ norm }) => norm > 0);
  const still = parameters.filter(({ norm }) => norm === 0).map(({ title }) => title);
  const most = moved.length > MANY_PARAMETERS ? SHOWN_OF_MANY : SHOWN;
  const shown = moved.map(({ largest }) => largest.filter(({ gradient }) => gradient !== 0).slice(0, most));
  const columns: Column[] = [
    { title: 'largest gradients', align: 'left' },
    { title: 'gradient' },
    { title: 'before' },
    { title: 'after' },
  ];
  const [titles, ...rows] = table(columns, shown.flat().map(gradientRow)).split('\n');
  return [
    titles,
    ...moved.flatMap((each, place) => [headOf(each), ...rows.splice(0, shown[place].length)]),
    ...(still.length > 0 ? wrapped(`Without any gradient: ${still.join(', ')}.`, width) : []),
  ];
}

/** "weights of layer 0: 6,844 of 100,352 are not 0, their norm is 0.0012". */
function headOf({ title, norm, zeros, shape }: ExplainedGradients): string {
  const size = shape.reduce((product, side) => product * side, 1);
  return `${title}: ${count(size - zeros)} of ${count(size)} are not 0, their norm is ${digits(norm, 2)}`;
}

const gradientRow = ({ place, gradient, before, after }: ExplainedGradient): string[] => [
  `  ${place}`,
  gradientText(gradient),
  before.toFixed(7),
  after.toFixed(7),
];

const gradientText = (value: number): string =>
  Math.abs(value) >= 0.001 ? value.toPrecision(4) : value.toExponential(3);

function changeText(explanation: Explanation): string {
  const { step } = explanation;
  const { lossBefore, lossAfter, probabilitiesAfter } = step;
  const changes = movedClasses(explanation, MOVED_CLASSES).map(
    ({ name, label, probability }) => `${name} ${changeOf(probability, probabilitiesAfter[label])}`,
  );
  const loss =
    digits(lossBefore) === digits(lossAfter)
      ? `stays ${digits(lossAfter)}`
      : `goes from ${digits(lossBefore)} to ${digits(lossAfter)}`;
  return `After the step the loss on this image ${loss}. Probabilities: ${changes.join('; ')}.`;
}

/** With so many digits that the change shows, if four do. */
function changeOf(before: number, after: number): string {
  const shown = [2, 3, 4].map((places) => [percent(before, places), percent(after, places)] as const);
  const [first, second] = shown.find(([a, b]) => a !== b) ?? shown[0];
  return first === second ? `${first} as before` : `${first} -> ${second}`;
}
