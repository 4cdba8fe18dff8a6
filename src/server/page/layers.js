import { css, lampColour, largest, mapColour, number, paint } from './pixels.js';
import { settled } from './requests.js';

/** Up to so many neurons have an element each; more of them share a canvas. */
const MOST_SWITCHES = 512;
/** More filters or neurons than these are left out, with a note. */
const MOST_MAPS = 256;
const MOST_CELLS = 16_384;
/** CSS pixels of a neuron on a canvas. */
const CELL = 9;
const MOST_COLUMNS = 80;
/** Labels of all neurons are written when activations have been still for so long. */
const LABEL_MILLISECONDS = 400;

const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** How a layer is shown: as images of filters, as switches, or as one canvas. */
function kindOf({ shape }) {
  if (shape.length === 3 || shape.length === 2) return 'maps';
  return shape.reduce((size, dimension) => size * dimension, 1) > MOST_SWITCHES ? 'cells' : 'switches';
}

const TYPES = {
  dense: 'dense',
  conv2d: 'convolution',
  maxPooling2d: 'max pool',
  averagePooling2d: 'average pool',
  globalAveragePooling2d: 'global average pool',
  batchNormalization: 'batch normalization',
};

/** One layer: a part that opens and closes, with a switch for every neuron. `onChoose(layer, neuron)` when one is chosen. */
export class LayerView {
  /** The `details` element. */
  element = document.createElement('details');
  #layer;
  #items;
  #values = null;
  #dirty = true;
  #label;

  constructor(layer, { names, open, onChoose }) {
    this.#layer = layer;
    const kind = kindOf(layer);
    const title = document.createElement('h3');
    const type = TYPES[layer.type] ?? layer.type;
    title.textContent = `${layer.layer} ${type}`;
    const size = document.createElement('span');
    size.className = 'quiet';
    size.textContent = describe(layer, kind);
    const summary = document.createElement('summary');
    summary.append(title, size);
    const name = `Layer ${layer.layer}, ${type}, ${size.textContent}`;
    const choose = (neuron) => onChoose(layer, neuron);
    const Items = { maps: Maps, switches: Switches, cells: Cells }[kind];
    this.#items = new Items(layer, { name, names, choose });
    this.element.className = 'layer';
    this.element.open = open;
    this.element.append(summary, this.#items.element, ...noteOf(this.#items.left));
    this.element.addEventListener('toggle', () => this.#draw());
    this.#label = settled(LABEL_MILLISECONDS, () => this.#items.label(this.#values));
  }

  get layer() {
    return this.#layer;
  }

  /** The layer's outputs, or null for none. */
  show(values) {
    this.#values = values;
    this.#dirty = true;
    this.#draw();
  }

  activation(neuron) {
    return this.#values?.[neuron] ?? null;
  }

  /** Marks the neuron that is looked at; null for none here. */
  mark(neuron) {
    this.#items.mark(neuron);
  }

  #draw() {
    if (!this.element.open || !this.#dirty) return;
    this.#dirty = false;
    // Probabilities are out of 1; other layers are compared within themselves.
    const isShare = ['softmax', 'sigmoid'].includes(this.#layer.activation) || this.#layer.type === 'softmax';
    this.#items.show(this.#values, isShare ? 1 : this.#values ? largest(this.#values) : 0);
    this.#label();
  }
}

function describe({ shape, activation }, kind) {
  const [height, width, channels = 1] = shape;
  const size = shape.reduce((product, dimension) => product * dimension, 1);
  const images = `${channels} ${channels === 1 ? 'image' : 'images'} of ${height} × ${width}`;
  const what = kind === 'maps' ? images : `${size} ${size === 1 ? 'neuron' : 'neurons'}`;
  return activation && activation !== 'linear' ? `${what}, ${activation}` : what;
}

function noteOf(left) {
  if (left === 0) return [];
  const note = document.createElement('p');
  note.className = 'note quiet';
  note.textContent = `${left} more are not shown.`;
  return [note];
}

function makeGroup(name) {
  const group = document.createElement('div');
  group.className = 'lamps';
  group.setAttribute('role', 'group');
  group.setAttribute('aria-label', `${name}. Arrow keys move from one to the next.`);
  return group;
}

/** Elements in a group, of which one is in the tab order and arrow keys move on. */
class Roving {
  #items;
  #current = 0;

  constructor(group, items, choose) {
    this.#items = items;
    const indexOf = (target) => items.indexOf(target.closest?.('.switch'));
    items.forEach((item, index) => {
      item.tabIndex = index === 0 ? 0 : -1;
    });
    const chosen = ({ target }) => {
      const index = indexOf(target);
      if (index >= 0) choose(index);
    };
    // A finger that scrolls passes over many; it chooses with a tap.
    group.addEventListener('pointerover', (event) => event.pointerType !== 'touch' && chosen(event));
    // Also where the browser takes a tap behind a stroke for a part of it, and sends no click.
    for (const type of ['pointerup', 'click']) group.addEventListener(type, chosen);
    group.addEventListener('focusin', (event) => {
      const index = indexOf(event.target);
      if (index < 0) return;
      this.#moveTo(index);
      choose(index);
    });
    group.addEventListener('keydown', (event) => {
      const next = this.#next(event);
      if (next === null) return;
      event.preventDefault();
      items[next].focus();
    });
  }

  #moveTo(index) {
    this.#items[this.#current].tabIndex = -1;
    this.#items[index].tabIndex = 0;
    this.#current = index;
  }

  /** Up and down go to the neuron above and below, however many fit into a line. */
  #next({ key, ctrlKey, altKey, metaKey }) {
    if (ctrlKey || altKey || metaKey) return null;
    const last = this.#items.length - 1;
    if (key === 'Home') return 0;
    if (key === 'End') return last;
    const move = KEYS[key];
    if (!move) return null;
    const columns = columnsOf(this.#items);
    const next = this.#current + move[0] + move[1] * columns;
    return next < 0 || next > last ? this.#current : next;
  }
}

function columnsOf(items) {
  const top = items[0].offsetTop;
  const second = items.findIndex((item) => item.offsetTop > top);
  return second < 0 ? items.length : second;
}

const makeSwitch = (className) => {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = `switch ${className}`;
  return button;
};

const titleOf = (index, name) => (name === undefined ? `Neuron ${index}` : `Neuron ${index}, ${name}`);

const withActivation = (title, value) => (value === undefined ? title : `${title}, activation ${number(value)}`);

/** Neurons with an element each. */
class Switches {
  element;
  left = 0;
  #items;
  #names;

  constructor(layer, { name, names, choose }) {
    const size = layer.shape.reduce((product, dimension) => product * dimension, 1);
    this.#names = names;
    this.#items = Array.from({ length: size }, (_, index) => {
      const item = makeSwitch(names ? 'named' : '');
      if (names) item.textContent = names[index];
      return item;
    });
    this.element = makeGroup(name);
    this.element.append(...this.#items);
    new Roving(this.element, this.#items, (index) => {
      this.#name(index, this.values);
      choose(index);
    });
    this.label(null);
  }

  values = null;

  show(values, scale) {
    this.values = values;
    this.#items.forEach((item, index) => {
      const colour = lampColour(values?.[index] ?? 0, scale);
      item.style.backgroundColor = css(colour);
      // Words on a lamp that is lit are dark.
      if (this.#names) item.style.color = colour[0] + colour[1] + colour[2] > 320 ? '#14151a' : '#f4f4f0';
    });
  }

  label(values) {
    this.#items.forEach((_, index) => {
      this.#name(index, values);
    });
  }

  #name(index, values) {
    this.#items[index].setAttribute(
      'aria-label',
      withActivation(titleOf(index, this.#names?.[index]), values?.[index]),
    );
  }

  mark(neuron) {
    this.#items.forEach((item, index) => {
      item.classList.toggle('shown', index === neuron);
    });
  }
}

/** Filters with an image each. The neuron that stands for a filter is the one at its first position. */
class Maps {
  element;
  left;
  #items;
  #shape;

  constructor({ shape }, { name, choose }) {
    const [height, width, channels = 1] = shape;
    this.#shape = { height, width, channels };
    const count = Math.min(channels, MOST_MAPS);
    this.left = channels - count;
    this.#items = Array.from({ length: count }, () => {
      const item = makeSwitch('map');
      item.append(document.createElement('canvas'));
      return item;
    });
    this.element = makeGroup(name);
    this.element.append(...this.#items);
    new Roving(this.element, this.#items, choose);
    this.label(null);
  }

  show(values, scale) {
    const { height, width, channels } = this.#shape;
    this.#items.forEach((item, channel) => {
      paint(item.firstChild, width, height, (pixel) => mapColour(values?.[pixel * channels + channel] ?? 0, scale));
    });
  }

  label(values) {
    const { height, width, channels } = this.#shape;
    this.#items.forEach((item, channel) => {
      let most;
      for (let pixel = 0; values && pixel < height * width; pixel++) {
        const value = values[pixel * channels + channel];
        if (most === undefined || value > most) most = value;
      }
      const shown = most === undefined ? '' : `, at most ${number(most)}`;
      item.setAttribute('aria-label', `Filter ${channel}${shown}`);
    });
  }

  mark(neuron) {
    this.#items.forEach((item, channel) => {
      item.classList.toggle('shown', neuron !== null && neuron % this.#shape.channels === channel);
    });
  }
}

/** Many neurons on one canvas, with a cursor that keys move. */
class Cells {
  element;
  left;
  #canvas = document.createElement('canvas');
  #count;
  #columns = MOST_COLUMNS;
  #current = 0;
  #values = null;
  #scale = 0;
  #marked = null;
  #name;

  constructor({ shape }, { name, choose }) {
    const size = shape.reduce((product, dimension) => product * dimension, 1);
    this.#count = Math.min(size, MOST_CELLS);
    this.left = size - this.#count;
    this.#name = name;
    this.element = document.createElement('div');
    this.element.className = 'lamps';
    this.element.append(this.#canvas);
    this.#canvas.tabIndex = 0;
    this.#canvas.setAttribute('role', 'application');
    this.#canvas.setAttribute('aria-roledescription', 'grid of neurons');
    this.label(null);
    const go = (neuron) => {
      this.#current = neuron;
      this.label(this.#values);
      choose(neuron);
    };
    const point = (event) => {
      const neuron = this.#at(event);
      if (neuron !== null && neuron !== this.#marked) go(neuron);
    };
    this.#canvas.addEventListener('pointermove', (event) => event.pointerType !== 'touch' && point(event));
    for (const type of ['pointerup', 'click']) this.#canvas.addEventListener(type, point);
    this.#canvas.addEventListener('focus', () => this.#canvas.matches(':focus-visible') && go(this.#current));
    this.#canvas.addEventListener('keydown', (event) => {
      const next = this.#next(event);
      if (next === null) return;
      event.preventDefault();
      go(next);
    });
    new ResizeObserver(([{ contentRect }]) => this.#fit(contentRect.width)).observe(this.element);
  }

  #fit(width) {
    const columns = Math.max(8, Math.min(MOST_COLUMNS, Math.floor(width / CELL)));
    if (width === 0 || columns === this.#columns) return;
    this.#columns = columns;
    this.#draw();
  }

  #at({ offsetX, offsetY }) {
    const { clientWidth, clientHeight } = this.#canvas;
    const rows = Math.ceil(this.#count / this.#columns);
    const column = Math.floor((offsetX / clientWidth) * this.#columns);
    const row = Math.floor((offsetY / clientHeight) * rows);
    const neuron = row * this.#columns + column;
    return column >= 0 && column < this.#columns && row >= 0 && neuron < this.#count ? neuron : null;
  }

  #next({ key, ctrlKey, altKey, metaKey }) {
    if (ctrlKey || altKey || metaKey) return null;
    if (key === 'Home') return 0;
    if (key === 'End') return this.#count - 1;
    const move = KEYS[key];
    if (!move) return null;
    const next = this.#current + move[0] + move[1] * this.#columns;
    return next < 0 || next >= this.#count ? this.#current : next;
  }

  show(values, scale) {
    this.#values = values;
    this.#scale = scale;
    this.#draw();
  }

  label(values) {
    const at = withActivation(titleOf(this.#current), values?.[this.#current]);
    this.#canvas.setAttribute('aria-label', `${this.#name}. Arrow keys move from one to the next. ${at}`);
  }

  mark(neuron) {
    if (this.#marked === neuron) return;
    this.#marked = neuron;
    this.#draw();
  }

  #draw() {
    const canvas = this.#canvas;
    const columns = this.#columns;
    canvas.width = columns * CELL;
    canvas.height = Math.ceil(this.#count / columns) * CELL;
    canvas.style.width = `${canvas.width}px`;
    const context = canvas.getContext('2d');
    for (let neuron = 0; neuron < this.#count; neuron++) {
      context.fillStyle = css(lampColour(this.#values?.[neuron] ?? 0, this.#scale));
      const [x, y] = [(neuron % columns) * CELL, Math.floor(neuron / columns) * CELL];
      context.fillRect(x + 1, y + 1, CELL - 2, CELL - 2);
      if (neuron !== this.#marked) continue;
      context.strokeStyle = '#fff';
      context.strokeRect(x + 0.5, y + 0.5, CELL - 1, CELL - 1);
    }
  }
}
