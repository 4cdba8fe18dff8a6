import type { ExplainedLayer, ExplainedNeuron, Explanation, LayerConfig } from '../../index.js';
import { layerSentence, pixelSums, sizeText, unitName } from '../../report/explanation-words.js';
import { type ExplanationSubject, nameOf, type Screen } from './explanation.js';
import { count, percent } from './format.js';
import { plainNumber, signedNumber, wrapped } from './prose.js';
import { bar, type Column, table } from './tables.js';

const BAR = 24;

/** Every layer: what it does, and its strongest neurons. */
export function layerLines({ explanation, layers }: ExplanationSubject, width: number, screen: Screen): string[] {
  let before = explanation.input.shape;
  return explanation.layers.flatMap((layer, index) => {
    const isLast = index === explanation.layers.length - 1;
    const isNew = layers.findIndex((config) => isAlike(config, layers[index])) === index;
    const lines = oneLayer(explanation, layer, layers[index], { before, isNew, isLast, width, screen });
    before = layer.shape;
    return lines;
  });
}

/** Whether the same sentence describes both. */
const isAlike = (a: LayerConfig, b: LayerConfig): boolean =>
  a.type === b.type && (a.type !== 'activation' || a.activation === b.activation);

interface Setting {
  /** The shape of what comes in. */
  before: readonly number[];
  isNew: boolean;
  isLast: boolean;
  width: number;
  screen: Screen;
}

function oneLayer(explanation: Explanation, layer: ExplainedLayer, config: LayerConfig, setting: Setting): string[] {
  const { width, screen, before, isNew, isLast } = setting;
  const what = layerSentence(config, layer, before, isNew);
  const title = ['', screen.style.strong(`Layer ${layer.name}: ${sizeText(layer.shape)} numbers`)];
  if (isLast) return [...title, ...wrapped(what, width), classTable(explanation, screen)];
  if (layer.neurons.length === 0) return [...title, ...wrapped(what, width)];
  const hasSums = layer.neurons[0].weightedSum !== undefined;
  const text = `${what} ${rangeText(layer)} ${hasSums ? 'The strongest:' : strongestText(layer)}`;
  return [...title, ...wrapped(text, width), ...(hasSums ? [neuronTable(explanation, layer)] : [])];
}

function rangeText(layer: ExplainedLayer): string {
  const off = layer.off === 0 ? '' : ` ${count(layer.off)} of ${count(sizeOfLayer(layer))} are 0.`;
  return `Outputs from ${plainNumber(layer.least)} to ${plainNumber(layer.greatest)}.${off}`;
}

const sizeOfLayer = ({ shape }: ExplainedLayer): number => shape.reduce((product, side) => product * side, 1);

/** Of layers without weights, in a sentence. */
function strongestText({ type, shape, neurons }: ExplainedLayer): string {
  const [{ unit, place, activation }] = neurons;
  const where = place ? ` at row ${place.row} column ${place.column}` : '';
  return `The strongest is ${unitName(type, shape)} ${unit}${where} with ${plainNumber(activation)}.`;
}

function neuronTable(explanation: Explanation, { layer, type, shape, neurons }: ExplainedLayer): string {
  const [first] = neurons;
  const fields: { column: Column; text: (neuron: ExplainedNeuron) => string }[] = [
    { column: { title: unitName(type, shape) }, text: ({ unit }) => String(unit) },
  ];
  const add = (title: string, text: (neuron: ExplainedNeuron) => string, align?: 'left') =>
    fields.push({ column: { title, align }, text });
  if (first.place) add('strongest at', ({ place }) => `row ${place!.row} column ${place!.column}`);
  if (first.pixels) {
    add('pixels for', ({ pixels }) => signedNumber(pixelSums(pixels!).plus));
    add('against', ({ pixels }) => signedNumber(pixelSums(pixels!).minus));
  }
  add('bias', ({ bias }) => signedNumber(bias!));
  add('sum', ({ weightedSum }) => plainNumber(weightedSum!));
  add('output', ({ activation }) => plainNumber(activation));
  if (first.feeds) {
    // Layers without neurons of their own pass on what they get.
    const isLast = explanation.layers.slice(layer + 1, -1).every((each) => each.neurons.length === 0);
    add(
      isLast ? 'does most for or against' : 'does most for neurons',
      (neuron) => feedsText(explanation, neuron, isLast),
      'left',
    );
  }
  return table(
    fields.map(({ column }) => column),
    neurons.map((neuron) => fields.map(({ text }) => text(neuron))),
  );
}

/** The next layer's neurons, which of the last layer are classes. */
function feedsText(explanation: Explanation, { feeds }: ExplainedNeuron, isLast: boolean): string {
  const name = (unit: number) => (isLast ? nameOf(explanation, unit) : String(unit));
  return feeds!.map(({ unit, contribution }) => `${name(unit)} ${signedNumber(contribution)}`).join(', ');
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
