import { largest, number, paint, places, tiles, weightColour } from './pixels.js';
import { fetchWeights, settled } from './requests.js';

/** Someone who passes over a row of neurons does not mean every one of them. */
const PAUSE_MILLISECONDS = 60;
const SPEAK_MILLISECONDS = 500;
/** Answers kept, so that coming back costs nothing. */
const MOST_KEPT = 1000;

/** CSS pixels of a weight: few weights shall not fill the page. */
const MOST_PIXEL_SIZE = 28;

const BETWEEN = [57, 59, 67];

const byId = (id) => document.getElementById(id);

/** The chosen neuron: its activation, and its weights as an image. */
export class NeuronPanel {
  #kept = new Map();
  #chosen = null;
  #onError;
  #ask = settled(PAUSE_MILLISECONDS, (chosen) => this.#fetch(chosen));
  #speak = settled(SPEAK_MILLISECONDS, (text) => {
    byId('neuron-spoken').textContent = text;
  });

  /** `onError(error)` when the server does not answer, `onModel(digest)` with every answer. */
  constructor({ onError, onModel }) {
    this.#onError = onError;
    this.onModel = onModel;
  }

  get chosen() {
    return this.#chosen;
  }

  /** Back to nothing chosen, as for another model. */
  reset() {
    this.#kept.clear();
    this.#chosen = null;
    byId('neuron').classList.remove('chosen', 'pictured');
    byId('neuron-title').textContent = 'No neuron chosen';
    byId('neuron-activation').textContent = '';
    byId('neuron-text').textContent = 'The one you choose shows here which pixels matter to it.';
    byId('neuron-spoken').textContent = '';
    this.#hideImages();
  }

  /** `title` names the neuron, `isMap` says that it stands for a whole filter. */
  choose({ layer, neuron, title, isMap }) {
    const same = this.#chosen?.layer === layer && this.#chosen.neuron === neuron;
    if (same) return;
    this.#chosen = { layer, neuron, title, isMap };
    byId('neuron').classList.add('chosen');
    byId('neuron-title').textContent = title;
    const kept = this.#kept.get(keyOf(this.#chosen));
    if (kept) this.#show(kept);
    else this.#ask(this.#chosen);
  }

  /** The activation beside the weights; null while there is none. */
  showActivation(value) {
    const text = value === null || this.#chosen?.isMap ? '' : `Activation ${number(value)}`;
    byId('neuron-activation').textContent = text;
  }

  /** Asks again for what the server did not answer. */
  retry() {
    if (this.#chosen && !this.#kept.has(keyOf(this.#chosen))) this.#ask(this.#chosen);
  }

  async #fetch(chosen) {
    if (chosen !== this.#chosen) return;
    try {
      const answer = await fetchWeights(chosen.layer, chosen.neuron);
      if (this.onModel(answer.model)) return;
      if (this.#kept.size >= MOST_KEPT) this.#kept.delete(this.#kept.keys().next().value);
      this.#kept.set(keyOf(chosen), answer);
      if (chosen === this.#chosen) this.#show(answer);
    } catch (error) {
      this.#onError(error);
    }
  }

  #show(answer) {
    byId('neuron').classList.toggle('pictured', answer.weights !== null);
    if (!answer.weights) {
      this.#hideImages();
      this.#say('This layer has no weights of its own to show.');
      return;
    }
    const main = answer.pixels ?? answer.weights;
    const range = paintWeights(byId('neuron-image'), main);
    byId('neuron-image').hidden = false;
    byId('legend').hidden = false;
    byId('legend-low').textContent = number(-range.scale);
    byId('legend-high').textContent = number(range.scale);
    const what = describe(answer);
    byId('neuron-image').setAttribute('aria-label', `${what} From ${number(range.low)} to ${number(range.high)}.`);
    const deep = answer.pixels !== null && answer.through.length > 1;
    byId('neuron-before').hidden = !deep;
    if (deep) this.#showBefore(answer.weights);
    this.#say(`${what} Weights from ${number(range.low)} to ${number(range.high)}.`);
  }

  #showBefore(weights) {
    const { low, high } = paintWeights(byId('before-image'), weights);
    const text = `Its own weights, one for each of the ${weights.values.length} neurons before it, from ${number(low)} to ${number(high)}.`;
    byId('before-text').textContent = text;
    byId('before-image').setAttribute('aria-label', text);
  }

  #say(text) {
    byId('neuron-text').textContent = text;
    this.#speak(text);
  }

  #hideImages() {
    for (const id of ['neuron-image', 'legend', 'neuron-before']) byId(id).hidden = true;
  }
}

const keyOf = ({ layer, neuron }) => `${layer}/${neuron}`;

function paintWeights(canvas, image) {
  const { width, height, valueAt } = tiles(image);
  canvas.style.maxWidth = `${width * MOST_PIXEL_SIZE}px`;
  const scale = largest(image.values);
  paint(canvas, width, height, (pixel) => {
    const value = valueAt(pixel);
    return value === null ? BETWEEN : weightColour(value, scale);
  });
  return { scale, low: Math.min(...image.values), high: Math.max(...image.values) };
}

/** What the image shows, in words. */
function describe({ type, pixels, weights, through }) {
  if (type === 'conv2d') {
    const [height, width, channels] = weights.shape;
    const each = channels > 1 ? ` of each of ${channels} images` : '';
    return `The window of ${height} × ${width} weights that the filter lays on every place${each}.`;
  }
  if (!pixels) {
    const [height, width, channels] = weights.shape;
    if (weights.shape.length === 3) return `Its weights to the ${channels} images of ${height} × ${width} before it.`;
    return `Its weights to the ${weights.values.length} numbers before it.`;
  }
  const rough = through.length > 1 ? ' A rough picture: its weights multiplied with those of the layers before.' : '';
  const [height, width, channels = 1] = pixels.shape;
  const isImage = channels === 1 && (pixels.shape.length > 1 || height === 784);
  if (!isImage) return `How much each of the ${pixels.values.length} numbers of the input counts for it.${rough}`;
  const [most, least] = places({ shape: width ? [height, width] : [28, 28], values: pixels.values });
  const words = [
    most && `Ink at the ${most} (orange) speaks for it most`,
    least && `ink at the ${least} (blue) against it`,
  ];
  return `${words.filter(Boolean).join(', ')}.${rough}`;
}
