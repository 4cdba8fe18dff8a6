import { number, percent } from './pixels.js';

/** More outputs than these are not listed one by one. */
const MOST_BARS = 40;

/** A list of classes, each with a bar and its share. */
export class Bars {
  #list;
  #rows = [];
  #isShare = true;

  constructor(list) {
    this.#list = list;
  }

  /** Makes a row for each class. `isShare`: whether outputs are probabilities. */
  reset(labels, isShare) {
    this.#isShare = isShare;
    this.#rows = labels.slice(0, MOST_BARS).map(makeRow);
    this.#list.replaceChildren(...this.#rows.map(({ item }) => item));
    this.show(null);
  }

  /** `outputs` null: nothing to show yet. */
  show(outputs) {
    const best = outputs ? outputs.indexOf(Math.max(...outputs)) : -1;
    const scale = this.#isShare || !outputs ? 1 : Math.max(...outputs.map(Math.abs)) || 1;
    this.#rows.forEach(({ item, bar, value }, index) => {
      item.classList.toggle('best', index === best);
      bar.style.transform = `scaleX(${outputs ? Math.abs(outputs[index]) / scale : 0})`;
      value.textContent = outputs ? (this.#isShare ? percent(outputs[index]) : number(outputs[index])) : '–';
    });
  }
}

function makeRow(label) {
  const item = document.createElement('li');
  const name = document.createElement('span');
  const track = document.createElement('span');
  const bar = document.createElement('span');
  const value = document.createElement('span');
  name.textContent = label;
  track.className = 'track';
  track.setAttribute('aria-hidden', 'true');
  bar.className = 'bar';
  value.className = 'value';
  track.append(bar);
  item.append(name, ' ', track, ' ', value);
  return { item, bar, value };
}
