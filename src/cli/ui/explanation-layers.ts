import type { ExplainedLayer, Explanation } from '../../index.js';
import { describedLayers, rangeText, strongestText } from '../../report/explanation/layer-words.js';
import { neuronFields } from '../../report/explanation/neuron-fields.js';
import { plainNumber } from '../../report/explanation/numbers.js';
import type { ExplanationSubject } from '../../report/explanation/subject.js';
import type { Screen } from './explanation.js';
import { percent } from './format.js';
import { wrapped } from './prose.js';
import { bar, table } from './tables.js';

const BAR = 24;

/** Every layer: what it does, and its strongest neurons. */
export function layerLines(subject: ExplanationSubject, width: number, screen: Screen): string[] {
  const { explanation } = subject;
  return describedLayers(subject).flatMap(({ layer, sentence }, index) => {
    const title = ['', screen.style.strong(`Layer ${layer.name}`)];
    const isLast = index === explanation.layers.length - 1;
    if (isLast) return [...title, ...wrapped(sentence, width), classTable(explanation, screen)];
    if (layer.neurons.length === 0) return [...title, ...wrapped(sentence, width)];
    const hasSums = layer.neurons[0].weightedSum !== undefined;
    const text = `${sentence} ${rangeText(layer)} ${hasSums ? 'The strongest:' : strongestText(layer)}`;
    return [...title, ...wrapped(text, width), ...(hasSums ? [neuronTable(explanation, layer)] : [])];
  });
}

function neuronTable(explanation: Explanation, layer: ExplainedLayer): string {
  const fields = neuronFields(explanation, layer);
  return table(
    fields.map(({ short, isNumber }) => ({ title: short, align: isNumber ? 'right' : 'left' })),
    layer.neurons.map((neuron) => fields.map(({ text }) => text(neuron))),
  );
}

/** Every class with its logit and its probability, as `predict` shows them. */
function classTable(explanation: Explanation, { style }: Screen): string {
  const { classes, answer } = explanation;
  const lines = table(
    [{ title: 'class', align: 'left' }, { title: 'logit' }, { title: 'probability' }, { title: '', align: 'left' }],
    classes.map(({ name, logit, probability }) => [
      name,
      plainNumber(logit),
      percent(probability),
      bar(probability, BAR).trimEnd(),
    ]),
  ).split('\n');
  return lines.map((line, index) => (index === answer + 1 ? style.strong(line) : line)).join('\n');
}
