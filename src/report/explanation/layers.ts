import type { ExplainedLayer, ExplainedNeuron, Explanation } from '../../model/explain/explanation.js';
import { pngDataUri } from '../../pictures/encode-png.js';
import { signedPicture } from '../../pictures/picture.js';
import { dataTable, figure, picture } from '../elements.js';
import { html, type Markup, type Part } from '../html.js';
import { formatNumber } from '../numbers.js';
import type { Section } from '../page.js';
import { describedLayers, rangeText, strongestText, unitName } from './layer-words.js';
import { neuronFields } from './neuron-fields.js';
import { plainNumber } from './numbers.js';
import { capitalized, type ExplanationSubject } from './subject.js';

/** Pixels across, about, of each picture on the page. */
const SIDE = 112;

/** A section for each layer: what it does, its strongest neurons, and what those of a first dense layer saw. */
export function layerSections(subject: ExplanationSubject): Section[] {
  const { explanation } = subject;
  return describedLayers(subject).map(({ layer, sentence }, index) => {
    const isLast = index === explanation.layers.length - 1;
    return {
      id: `layer-${layer.layer}`,
      title: `Layer ${layer.name}`,
      content: html`<p>${sentence} ${!isLast && remarks(layer)}</p>
${isLast ? classTable(explanation) : details(subject, layer)}`,
    };
  });
}

function remarks(layer: ExplainedLayer): string {
  if (layer.neurons.length === 0) return '';
  const strongest = layer.neurons[0].weightedSum === undefined ? strongestText(layer) : '';
  return `${rangeText(layer)} ${strongest}`.trim();
}

function details({ explanation, size }: ExplanationSubject, layer: ExplainedLayer): Part {
  const [first] = layer.neurons;
  if (first?.weightedSum === undefined) return null;
  return [neuronTable(explanation, layer), first.pixels && neuronPictures(layer.neurons, size)];
}

function neuronTable(explanation: Explanation, layer: ExplainedLayer): Markup {
  const { type, shape, neurons } = layer;
  const fields = neuronFields(explanation, layer);
  const name = unitName(type, shape);
  return dataTable({
    caption: `The strongest ${name}s of layer ${layer.layer}. The weighted sum includes the bias; the output is what the activation makes of it.`,
    columns: fields.map(({ title, isNumber }, index) => ({
      title: capitalized(title),
      // The first heads its row.
      align: isNumber && index > 0 ? 'number' : 'text',
    })),
    rows: neurons.map((neuron) => fields.map(({ text }) => text(neuron))),
  });
}

/** Weight × pixel of each neuron, as pictures of one scale of colour each. */
function neuronPictures(neurons: readonly ExplainedNeuron[], { width, height }: ExplanationSubject['size']): Markup {
  const pictures = neurons.map(({ unit, pixels }) =>
    figure(
      picture({
        uri: pngDataUri(signedPicture(pixels!, width, height)),
        alt: `Weight times pixel of neuron ${unit}`,
        width,
        height,
        scale: Math.max(1, Math.round(SIDE / width)),
      }),
      `Neuron ${unit}`,
    ),
  );
  return html`<p>What these neurons saw, weight times pixel: orange drives the sum up, blue down.</p>
<div class="pictures small">${pictures}</div>`;
}

function classTable({ classes }: Explanation): Markup {
  return dataTable({
    caption: 'Every class with its logit and its probability.',
    columns: [{ title: 'Class' }, { title: 'Logit', align: 'number' }, { title: 'Probability', align: 'number' }],
    rows: classes.map(({ name, logit, probability }) => [
      name,
      plainNumber(logit),
      formatNumber(probability, 'percent'),
    ]),
  });
}
