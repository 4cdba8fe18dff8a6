import type { ExplainedGradients, Explanation } from '../../model/explain/explanation.js';
import { dataTable } from '../elements.js';
import { html, type Markup, type Part } from '../html.js';
import { formatNumber } from '../numbers.js';
import type { Section } from '../page.js';
import { digits, gradientText, weightText } from './numbers.js';
import { capitalized } from './subject.js';
import { lossText } from './words.js';

/** What a step of training on the image changes. */
export function stepSection(explanation: Explanation): Section {
  const { parameters, lossBefore, lossAfter } = explanation.step;
  return {
    id: 'step',
    title: 'What one step of training on this image would change',
    content: html`<p>${lossText(explanation)}</p>
${normTable(parameters)}
${gradientTable(parameters)}
<p>After the step, the loss on this image is ${digits(lossAfter)} in place of ${digits(lossBefore)}.</p>
${probabilityTable(explanation)}`,
  };
}

function normTable(parameters: readonly ExplainedGradients[]): Markup {
  return dataTable({
    caption: 'The gradients of each layer. The norm is the root of the sum of their squares.',
    columns: [
      { title: 'Parameter' },
      { title: 'Numbers', align: 'number' },
      { title: 'Gradients that are not 0', align: 'number' },
      { title: 'Norm', align: 'number' },
    ],
    rows: parameters.map(({ title, shape, zeros, norm }) => {
      const size = shape.reduce((product, side) => product * side, 1);
      return [
        capitalized(title),
        formatNumber(size, 'count'),
        formatNumber(size - zeros, 'count'),
        formatNumber(norm, 'plain'),
      ];
    }),
  });
}

/** Nothing where all gradients are 0. */
function gradientTable(parameters: readonly ExplainedGradients[]): Part {
  const rows = parameters.flatMap(({ title, largest }) =>
    largest
      .filter(({ gradient }) => gradient !== 0)
      .map(({ place, gradient, before, after }) => [
        `${capitalized(title)}: ${place}`,
        gradientText(gradient),
        weightText(before),
        weightText(after),
      ]),
  );
  if (rows.length === 0) return null;
  return dataTable({
    caption: 'The largest gradients, and what the step makes of these weights.',
    columns: [
      { title: 'Which' },
      { title: 'Gradient', align: 'number' },
      { title: 'Before', align: 'number' },
      { title: 'After', align: 'number' },
    ],
    rows,
  });
}

function probabilityTable({ classes, step }: Explanation): Markup {
  return dataTable({
    caption: 'The probabilities before and after the step.',
    columns: [{ title: 'Class' }, { title: 'Before', align: 'number' }, { title: 'After', align: 'number' }],
    rows: classes.map(({ name, label, probability }) => [
      name,
      formatNumber(probability, 'percent'),
      formatNumber(step.probabilitiesAfter[label], 'percent'),
    ]),
  });
}
