import { plot } from 'simple-ascii-chart';
import { roundNumbers } from './axis.js';
import { type Confusion, confusionLine, confusionMap } from './confusion.js';
import type { Curve } from './curve.js';
import type { ScreenSize } from './live-block.js';
import type { Style } from './style.js';
import { bar } from './tables.js';
import { beside, cut, widthOf } from './text.js';

type Point = [number, number];
type TwoCurves = Record<'training' | 'validation', Curve>;

export interface LiveState {
  /** Where training began, in epochs: not at 0 where it was resumed. */
  start: number;
  /** Whole epochs and a part of the running one. */
  position: number;
  epochs: number;
  curves: Record<'loss' | 'accuracy', TwoCurves>;
  confusion: Confusion | null;
  /** The share of all training that is done, and what stands behind the bar. */
  done: number;
  text: string;
}

/** Smaller screens get the bar alone. */
const LEAST: ScreenSize = { columns: 60, rows: 20 };
/** Rows of a plot itself; its arrow, axis and numbers are three more. */
const PLOT_ROWS = { least: 6, most: 12 };
/** Rows of the screen that are no plot's own: the plot's other three, titles, confusions, bar, and the lines above. */
const OTHER_ROWS = 13;
/** Columns beside a plot: numbers at the axis, its line and its arrow. */
const AXIS_COLUMNS = 8;
const MOST_PLOT_COLUMNS = 64;
/** Between curves and map. */
const GAP = 3;

/** Where a plot begins, and the columns that it takes now and at most. */
interface Place {
  start: number;
  columns: number;
  width: number;
  rows: number;
}

/** What an axis shows of values, and how it names them. */
interface Scale {
  name: string;
  range(least: number, most: number): Point;
  text(value: number): string;
}

export const fitsLiveView = ({ columns, rows }: ScreenSize): boolean => columns >= LEAST.columns && rows >= LEAST.rows;

/** The live view as it fits the screen: curves, confusions and the bar, or the bar alone. */
export class LiveFrame {
  readonly #style: Style;
  readonly #color: boolean;
  /** The curves drawn last and for which screen: drawing them is the only part that takes time. */
  #curves: { key: string; lines: string[] } | null = null;

  constructor(style: Style, color: boolean) {
    this.#style = style;
    this.#color = color;
  }

  /** @param afresh Whether the curves are drawn anew; on another screen they are in any case. */
  lines(state: LiveState, size: ScreenSize, afresh: boolean): string[] {
    const end = barLine(state, size.columns);
    if (!fitsLiveView(size)) return [end];
    return [...this.picture(state, size, afresh), '', end];
  }

  /** Without the bar: what stays when training has ended. */
  picture(state: LiveState, size: ScreenSize, afresh = true): string[] {
    const { confusion } = state;
    const rows = Math.min(PLOT_ROWS.most, Math.max(PLOT_ROWS.least, size.rows - OTHER_ROWS));
    const map = confusion && confusionMap(confusion, this.#style);
    const widthLeft = size.columns - 1 - (map?.columns ?? 0) - GAP;
    const hasMap = map !== null && widthLeft >= LEAST.columns && map.lines.length <= rows + 3;
    const key = `${size.columns} ${rows} ${hasMap}`;
    if (afresh || this.#curves?.key !== key) {
      this.#curves = { key, lines: this.#charts(state, hasMap ? widthLeft : size.columns, rows) };
    }
    const { lines } = this.#curves;
    if (hasMap) return beside([lines, map.lines], 2 * chartColumns(widthLeft) + GAP, GAP);
    return confusion ? [...lines, '', confusionLine(confusion, size.columns - 1)] : lines;
  }

  #charts({ curves, start, position, epochs }: LiveState, columns: number, rows: number): string[] {
    // The axis ends at a half, a quarter, ... of the training until the curve has come so far: it grows, and soon has room.
    let length = epochs - start;
    const grown = position - start;
    while (grown > 0 && length / 2 >= grown) length /= 2;
    const wide = chartColumns(columns);
    const width = wide - AXIS_COLUMNS;
    const plotColumns = Math.max(4, Math.round((width * grown) / length));
    const place = { start, width, rows, columns: plotColumns };
    const charts = [this.#chart(curves.loss, place, LOSS), this.#chart(curves.accuracy, place, ACCURACY)];
    return beside(charts, wide, GAP);
  }

  #chart(curves: TwoCurves, place: Place, scale: Scale): string[] {
    const { start, columns, width, rows } = place;
    const { training, validation } = curves;
    const { range, text } = scale;
    const line = training.points(columns, start);
    const marks = validation.points(Math.ceil(columns / 4), start);
    const wide = width + AXIS_COLUMNS;
    const title = this.#title(scale, curves, wide);
    if (line.length === 0) return [title, ...new Array<string>(rows + 3).fill('')];
    const to = line.at(-1)![0];
    // How it began is soon beside the point, and would press all that follows to the edge.
    const later = [...line, ...marks].filter(([x]) => x - start >= (to - start) / 8).map(([, y]) => y);
    const yRange = range(Math.min(...later), Math.max(...later));
    const within = ([x, y]: Point): Point => [x, Math.min(yRange[1], Math.max(yRange[0], y))];
    const from: Point[] = line.length > 1 ? [] : [[start, line[0][1]]];
    const drawn = plot([...from, ...line].map(within), {
      width: columns,
      height: rows,
      yRange,
      color: this.#color ? 'ansiCyan' : undefined,
      customXAxisTicks: epochTicks(start, to, columns),
      customYAxisTicks: roundNumbers(...yRange),
      points: marks.map(within).map(([x, y]) => ({ x, y, color: this.#color ? 'ansiYellow' : undefined })),
      formatter: (value, { axis }) => (axis === 'x' ? shortNumber(value) : text(value)),
    });
    const lines = drawn.split('\n').filter((each) => each.trim() !== '');
    return [title, ...lines.map((each) => cut(each, wide))];
  }

  /** The name of a chart, its lines and where they are now: with words where there is room. */
  #title({ name, text }: Scale, { training, validation }: TwoCurves, columns: number): string {
    const paint = (code: number, sign: string) => (this.#color ? `\x1b[${code}m${sign}\x1b[39m` : sign);
    const parts: [sign: string, name: string, curve: Curve][] = [[paint(36, '━'), 'training', training]];
    if (Number.isFinite(validation.last)) parts.push([paint(33, '●'), 'validation', validation]);
    const of = (words: boolean) =>
      `  ${[name, ...parts.map(([sign, word, curve]) => `${sign} ${words ? `${word} ` : ''}${text(curve.last)}`)].join('  ')}`;
    const long = of(true);
    return widthOf(long) <= columns ? long : of(false);
  }
}

/** Round numbers of epochs behind `start`, as many as have room for their names. */
function epochTicks(start: number, to: number, columns: number): number[] {
  let ticks = roundNumbers(start, to).filter((tick) => tick > start);
  const widest = Math.max(...ticks.map((tick) => shortNumber(tick).length));
  while (ticks.length > 1 && columns / ticks.length < widest + 2) ticks = ticks.filter((_, index) => index % 2 === 1);
  return ticks;
}

/** From 0, unless all of it lies far above: with label smoothing no loss comes near 0. */
function lossRange(least: number, most: number): Point {
  const above = Math.max((most - least) / 10, most / 20) || 1;
  return [least > most / 3 ? least - above : 0, most + above];
}

function accuracyRange(least: number): Point {
  return [Math.max(0, least - Math.max(0.01, (1 - least) / 10)), 1];
}

/** Of each of the two charts, side by side. */
const chartColumns = (columns: number): number =>
  Math.min(MOST_PLOT_COLUMNS + AXIS_COLUMNS, Math.floor((columns - GAP) / 2));

const shortNumber = (value: number): string => String(Number(value.toPrecision(3)));
const shortPercent = (value: number): string => `${shortNumber(value * 100)}%`;

const LOSS: Scale = { name: 'loss', range: lossRange, text: shortNumber };
const ACCURACY: Scale = { name: 'accuracy', range: accuracyRange, text: shortPercent };

/** The bar gives way to its text. */
function barLine({ done, text }: LiveState, columns: number): string {
  const width = Math.max(8, Math.min(40, columns - text.length - 4));
  return `${bar(done, width).replaceAll(' ', '░')}  ${text}`;
}
