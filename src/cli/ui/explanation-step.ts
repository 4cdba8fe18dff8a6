import type { ExplainedGradient, ExplainedGradients, Explanation } from '../../index.js';
import { digits, gradientText, movedClasses, probabilitiesText, weightText } from '../../report/explanation/numbers.js';
import { lossText } from '../../report/explanation/words.js';
import { count } from './format.js';
import { wrapped } from './prose.js';
import { type Column, table } from './tables.js';

/** Gradients shown of each parameter: fewer where there are many parameters. */
const SHOWN = 2;
const SHOWN_OF_MANY = 1;
const MANY_PARAMETERS = 6;
const MOVED_CLASSES = 4;

export function stepLines(explanation: Explanation, width: number): string[] {
  return [
    ...wrapped(lossText(explanation), width),
    ...gradientLines(explanation.step.parameters, width),
    ...wrapped(changeText(explanation), width),
  ];
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
  weightText(before),
  weightText(after),
];

function changeText(explanation: Explanation): string {
  const { step } = explanation;
  const { lossBefore, lossAfter, probabilitiesAfter } = step;
  const changes = movedClasses(explanation, MOVED_CLASSES).map(({ name, label, probability }) => {
    const [before, after] = probabilitiesText(probability, probabilitiesAfter[label]);
    return before === after ? `${name}: ${before} as before` : `${name}: ${before} -> ${after}`;
  });
  const loss =
    digits(lossBefore) === digits(lossAfter)
      ? `stays ${digits(lossAfter)}`
      : `goes from ${digits(lossBefore)} to ${digits(lossAfter)}`;
  return `After the step the loss on this image ${loss}. Probabilities: ${changes.join('; ')}.`;
}
