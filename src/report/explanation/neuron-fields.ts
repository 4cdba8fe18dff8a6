import type { ExplainedLayer, ExplainedNeuron, Explanation } from '../../model/explain/explanation.js';
import { feedsClasses, feedsText, unitName } from './layer-words.js';
import { pixelSums, plainNumber, signedNumber } from './numbers.js';

/** A column of the table of a layer's strongest neurons, on the page and on a terminal. */
export interface NeuronField {
  title: string;
  /** Where a line has 80 columns. */
  short: string;
  isNumber: boolean;
  text(neuron: ExplainedNeuron): string;
}

/** Those that the layer's neurons have something for. */
export function neuronFields(explanation: Explanation, layer: ExplainedLayer): NeuronField[] {
  const [first] = layer.neurons;
  const fields: NeuronField[] = [];
  const add = (title: string, text: NeuronField['text'], { short = title, isNumber = true } = {}) =>
    fields.push({ title, short, isNumber, text });
  add(unitName(layer.type, layer.shape), ({ unit }) => String(unit));
  if (first.place) add('strongest at', ({ place }) => `row ${place!.row} column ${place!.column}`);
  if (first.pixels) {
    add('pixels for', ({ pixels }) => signedNumber(pixelSums(pixels!).plus));
    add('pixels against', ({ pixels }) => signedNumber(pixelSums(pixels!).minus), { short: 'against' });
  }
  add('bias', ({ bias }) => signedNumber(bias!));
  add('weighted sum', ({ weightedSum }) => plainNumber(weightedSum!), { short: 'sum' });
  add('output', ({ activation }) => plainNumber(activation));
  if (first.feeds) {
    const isLast = feedsClasses(explanation, layer);
    const title = `does most for or against${isLast ? '' : ' neurons'}`;
    const short = isLast ? title : 'does most for neurons';
    add(title, (neuron) => feedsText(explanation, layer, neuron), { short, isNumber: false });
  }
  return fields;
}
