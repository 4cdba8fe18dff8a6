import { Bars } from './bars.js';
import { Drawing } from './drawing.js';
import { LayerView } from './layers.js';
import { NeuronPanel } from './neuron.js';
import { decodeFloats, inkColour, number, paint, percent } from './pixels.js';
import { explain, fetchModel, latestOnly, Refusal, settled } from './requests.js';

const RETRY_MILLISECONDS = 1500;
/** A guess is spoken when it has been the same for so long. */
const SPEAK_MILLISECONDS = 900;
const PEN_MILLISECONDS = 300;
const NOTICE_MILLISECONDS = 6000;

const byId = (id) => document.getElementById(id);

/** What `page/model.json` says of the model in service. */
let model = null;
let layers = [];
let retryTimer = null;
/** What stands in the status line: an error, a notice or null for nothing. */
let statusKind = null;

const bars = new Bars(byId('bars'));
const panel = new NeuronPanel({ onError: showError, onModel: noticeModel });
const speak = settled(SPEAK_MILLISECONDS, (text) => {
  byId('spoken').textContent = text;
});
const tellPen = settled(PEN_MILLISECONDS, (text) => {
  byId('pen').textContent = text;
});
const drawing = new Drawing({
  board: byId('board'),
  canvas: byId('drawing'),
  brush: byId('brush'),
  onChange: update,
  tell: tellPen,
});
const askForExplanation = latestOnly(explainDrawing);

byId('clear').addEventListener('click', () => drawing.clear());
await loadModel();

function update() {
  byId('invitation').hidden = !drawing.empty;
  askForExplanation();
}

/** Reads what the model is, anew when another one came into service. */
async function loadModel() {
  try {
    const next = await fetchModel();
    answered();
    if (next.model !== model?.model) takeModel(next);
    if (!drawing.empty) askForExplanation();
    panel.retry();
  } catch (error) {
    showError(error);
  }
}

function takeModel(next) {
  model = next;
  const { drawable, classNames, outputShape, outputActivation, inputShape, name } = model;
  const outputs = outputShape.reduce((size, dimension) => size * dimension, 1);
  const names = classNames ?? Array.from({ length: outputs }, (_, index) => String(index));
  for (const id of ['draw', 'seen-card', 'guess-card']) byId(id).hidden = !drawable;
  byId('undrawable').hidden = drawable;
  byId('undrawable-text').textContent =
    `The model in service takes samples of [${inputShape.join(', ')}], not images of 28 × 28 pixels, so it cannot look ` +
    'at a drawing. POST /predict answers for its numbers. Its layers and their weights are shown below.';
  document.querySelector('h1').textContent = drawable ? 'Draw a digit' : 'A neural network';
  byId('lead').textContent = drawable
    ? 'The network guesses along with every stroke. Below, its neurons light up.'
    : 'Its layers, and what each of its neurons looks at.';
  byId('key').hidden = !drawable;
  bars.reset(names, outputActivation === 'softmax');
  byId('model').textContent = `Model ${name}, weights ${model.weightsSha256.slice(0, 12)}, served by mnist-train.`;
  panel.reset();
  layers = model.layers.map(
    (layer, place) =>
      new LayerView(layer, {
        names: place === model.layers.length - 1 && outputs <= 40 ? names : undefined,
        open: endsBlock(place),
        onChoose: choose,
      }),
  );
  byId('layers').replaceChildren(...layers.map(({ element }) => element));
  clearExplanation();
}

/** A convolution or dense layer goes on up to the next one: its last part is open, what stands between closed. */
function endsBlock(place) {
  const next = model.layers[place + 1];
  return !next || ['dense', 'conv2d', 'residual'].includes(next.type);
}

/** Whether the model is another one by now; it is then read. */
function noticeModel(digest) {
  if (digest === model?.model) return false;
  showNotice('Another model has come into service.');
  loadModel();
  return true;
}

async function explainDrawing() {
  if (!model?.drawable) return;
  if (drawing.empty) {
    clearExplanation();
    return;
  }
  try {
    const answer = await explain(drawing.bytes(), drawing.width, drawing.height);
    if (noticeModel(answer.model) || drawing.empty) return;
    answered();
    showExplanation(answer);
  } catch (error) {
    showError(error);
  }
}

function clearExplanation() {
  paint(byId('seen'), 28, 28, () => inkColour(0));
  byId('seen').setAttribute('aria-label', 'Nothing yet');
  byId('guess-label').textContent = '–';
  byId('guess-words').textContent = 'waiting for a drawing';
  bars.show(null);
  for (const view of layers) view.show(null);
  panel.showActivation(null);
  speak('');
}

function showExplanation({ image, probabilities, outputs, layers: shown }) {
  paint(byId('seen'), 28, 28, (pixel) => inkColour(image[pixel]));
  byId('seen').setAttribute('aria-label', 'The drawing in 28 by 28 pixels');
  const values = probabilities ?? outputs;
  bars.show(values);
  showGuess(values, probabilities !== undefined);
  shown.forEach(({ activations }, place) => {
    layers[place].show(decodeFloats(activations));
  });
  showActivation();
}

function showGuess(values, isShare) {
  const best = values.indexOf(Math.max(...values));
  const label = model.classNames?.[best] ?? String(best);
  const words = isShare ? `${percent(values[best])} sure` : `with ${number(values[best])}`;
  byId('guess-label').textContent = label;
  byId('guess-words').textContent = words;
  speak(`Looks like ${label}, ${isShare ? `${Math.round(values[best] * 100)} percent` : words}`);
}

function choose(layer, neuron) {
  const isMap = layer.shape.length > 1;
  const what = isMap ? `Filter ${neuron % (layer.shape[2] ?? 1)}` : `Neuron ${neuron}`;
  panel.choose({ layer: layer.layer, neuron, title: `${what}, layer ${layer.layer}`, isMap });
  for (const view of layers) view.mark(view.layer === layer ? neuron : null);
  showActivation();
}

function showActivation() {
  const { chosen } = panel;
  panel.showActivation(chosen ? layers[chosen.layer].activation(chosen.neuron) : null);
}

/** What went wrong, in the status line; where it may pass, this is tried again until it does. */
function showError(error) {
  const passes = !(error instanceof Refusal) || error.passes;
  const what = error instanceof Refusal ? error.message : 'The server does not answer.';
  showStatus('error', passes ? `${what} Trying again…` : what);
  if (passes && retryTimer === null) {
    retryTimer = setTimeout(() => {
      retryTimer = null;
      loadModel();
    }, RETRY_MILLISECONDS);
  }
}

function showNotice(text) {
  showStatus('notice', text);
  setTimeout(() => {
    if (byId('status').textContent === text) showStatus(null, '');
  }, NOTICE_MILLISECONDS);
}

/** An answer ends an error; a notice has its time. */
function answered() {
  if (statusKind === 'error') showStatus(null, '');
}

function showStatus(kind, text) {
  statusKind = kind;
  byId('status').textContent = text;
}
