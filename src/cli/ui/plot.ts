import { plot } from 'simple-ascii-chart';
import type { LearningRateSearch } from '../../index.js';
import { roundNumbers } from './axis.js';

/** Rows of the plot itself, and the columns that it takes at least and at most. */
const HEIGHT = 12;
const WIDTH = { least: 20, most: 72 };
/** Columns beside the plot: numbers at the axis, its line and its arrow. */
const BESIDE = 12;

/**
 * Draws the smoothed loss against the learning rate on a logarithmic axis, ● at `mark`. The loss is shown up to a little
 * above where it began: how high it flies when it diverges does not matter.
 */
export function learningRatePlot(
  { learningRates, smoothedLosses }: LearningRateSearch,
  mark: number | null,
  { columns, color }: { columns: number; color: boolean },
): string {
  const top = Math.max(1.25 * smoothedLosses[0], 1e-6);
  const beyond = smoothedLosses.findIndex((loss) => loss > top);
  const shown = beyond < 0 ? learningRates.length : beyond + 1;
  const points = learningRates
    .slice(0, shown)
    .map((rate, step): [number, number] => [Math.log10(rate), Math.min(smoothedLosses[step], top)]);
  const [from, to] = [points[0][0], points.at(-1)![0]];
  const place = mark === null ? -1 : learningRates.indexOf(mark);
  const marks = place < 0 || place >= shown ? [] : [{ x: points[place][0], y: points[place][1] }];
  const text = plot(points, {
    width: Math.min(WIDTH.most, Math.max(WIDTH.least, columns - BESIDE)),
    height: HEIGHT,
    yRange: [0, top],
    customXAxisTicks: decades(from, to),
    customYAxisTicks: roundNumbers(0, top),
    points: marks.map((each) => (color ? { ...each, color: 'ansiGreen' } : each)),
    xLabel: 'learning rate',
    formatter: (value, { axis }) => (axis === 'x' ? rateText(value) : String(Number(value.toPrecision(2)))),
  });
  const lines = text.split('\n').map((line) => line.trimEnd());
  return lines.filter((line) => line !== '').join('\n');
}

/** The whole numbers from `from` to `to`, or the two themselves where there are not two between. */
function decades(from: number, to: number): number[] {
  // A rate that is a power of ten may miss it by a rounding.
  const [first, last] = [Math.ceil(from - 1e-9), Math.floor(to + 1e-9)];
  return last > first ? Array.from({ length: last - first + 1 }, (_, index) => first + index) : [from, to];
}

/** 10 to the `exponent`: 1e-3, or 2.5e-3. */
function rateText(exponent: number): string {
  const nearest = Math.round(exponent);
  return Math.abs(exponent - nearest) < 1e-9 ? `1e${nearest}` : (10 ** exponent).toExponential(1);
}
