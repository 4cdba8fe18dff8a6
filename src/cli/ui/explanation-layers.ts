import type { ExplainedLayer, ExplainedNeuron, Explanation } from '../../index.js';
import {
  describedLayers,
  feedsClasses,
  feedsText,
  rangeText,
  strongestText,
  unitName,
} from '../../report/explanation/layer-words.js';
import { pixelSums, plainNumber, signedNumber } from '../../report/explanation/numbers.js';
import type { ExplanationSubject } from '../../report/explanation/subject.js';
import type { Screen } from './explanation.js';
import { percent } from './format.js';
import { wrapped } from './prose.js';
import { bar, type Column, table } from './tables.js';

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

interface Field {
  column: Column;
  text(neuron: ExplainedNeuron): string;
}

function neuronTable(explanation: Explanation, layer: ExplainedLayer): string {
  const { type, shape, neurons } = layer;
  const [first] = neurons;
  const fields: Field[] = [{ column: { title: unitName(type, shape) }, text: ({ unit }) => String(unit) }];
  const add = (title: string, text: Field['text'], align?: 'left') => fields.push({ column: { title, align }, text });
  if (first.place) add('strongest at', ({ place }) => `row ${place!.row} column ${place!.column}`);
  if (first.pixels) {
    add('pixels for', ({ pixels }) => signedNumber(pixelSums(pixels!).plus));
    add('against', ({ pixels }) => signedNumber(pixelSums(pixels!).minus));
  }
  add('bias', ({ bias }) => signedNumber(bias!));
  add('sum', ({ weightedSum }) => plainNumber(weightedSum!));
  add('output', ({ activation }) => plainNumber(activation));
  if (first.feeds) {
    const title = feedsClasses(explanation, layer) ? 'does most for or against' : 'does most for neurons';
    add(title, (neuron) => feedsText(explanation, layer, neuron), 'left');
  }
  return table(
    fields.map(({ column }) => column),
    neurons.map((neuron) => fields.map(({ text }) => text(neuron))),
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
