import type { GradientCheck, LayerActivity, ParameterStatistics } from '../../index.js';
import { sideBySide, type WeightPictures } from '../../model/inspect/weight-pictures.js';
import { count, percent, plural } from './format.js';
import { type ColorSupport, renderSigned } from './image.js';
import { table } from './tables.js';

const left = (title: string) => ({ title, align: 'left' }) as const;
const right = (title: string) => ({ title });

/** A parameter a line. Numbers that are not finite are called out at its end. */
export function statisticsTable(parameters: readonly ParameterStatistics[]): string {
  const titles = ['mean', 'deviation', 'least', 'greatest', 'norm', 'zeros'].map(right);
  const broken = parameters.some(({ notFinite }) => notFinite > 0);
  return table(
    [left('parameter'), left('shape'), ...titles, ...(broken ? [left('not finite')] : [])],
    parameters.map(({ name, shape, mean, deviation, least, greatest, norm, zeros, notFinite }) => [
      name,
      `[${shape.join(', ')}]`,
      ...[mean, deviation, least, greatest, norm].map(short),
      percent(zeros, 1),
      ...(broken ? [notFinite > 0 ? `${count(notFinite)}!` : ''] : []),
    ]),
  );
}

/** Four digits, which is more than eyes compare. */
const short = (value: number) => String(Number(value.toPrecision(4)));

/** So many numbers of dead units are listed. */
const MOST_LISTED = 12;

/** A layer behind a rectifier a line: how often its units are on, and which never are. */
export function activityTable(layers: readonly LayerActivity[]): string {
  return table(
    [left('layer'), right('units'), right('on, median'), right('dead'), left('which')],
    layers.map(({ name, unit, shares, medianShare, dead }) => [
      name,
      plural(shares.length, unit),
      percent(medianShare, 1),
      count(dead.length),
      dead.slice(0, MOST_LISTED).join(' ') + (dead.length > MOST_LISTED ? ' ...' : ''),
    ]),
  );
}

/** A parameter a line: of the weight that takes most of its bound, the error and the bound. */
export function gradientTable({ parameters }: GradientCheck): string {
  return table(
    [left('parameter'), right('checked'), right('near a kink'), right('error'), right('bound'), left('')],
    parameters.map(({ name, weights, skipped, worst, ok }) => [
      name,
      count(weights.length),
      count(skipped),
      worst ? worst.error.toExponential(1) : '-',
      worst ? worst.bound.toExponential(1) : '-',
      ok ? '' : 'WRONG',
    ]),
  );
}

/** What is wrong with the gradient of each weight that is beyond its bound, a line each. */
export function wrongGradients({ parameters }: GradientCheck): string[] {
  return parameters.flatMap(({ name, weights }) =>
    weights
      .filter(({ error, bound }) => !(error <= bound))
      .map(
        ({ index, engine, numerical, error, bound }) =>
          `${name}[${index}]: the engine computed ${engine}, the difference quotient is ${numerical}: off by ` +
          `${error.toExponential(1)}, where ${bound.toExponential(1)} is the bound`,
      ),
  );
}

/** Lines of pictures that a preview takes at most; the first row is shown in any case. */
const MOST_LINES = 32;
const BETWEEN = '  ';

export interface Preview {
  lines: string[];
  /** How many pictures there are in it, from the first, and how many channels of each. */
  shown: number;
  channels: number;
}

/** The first pictures, as many as fit, with their numbers above them; none where even one channel is too wide. */
export function weightPreview(
  pictures: WeightPictures,
  { most, columns, colors }: { most: number; columns: number; colors: ColorSupport },
): Preview {
  const { images, width, height } = pictures;
  const perPixel = colors === 'none' ? 2 : 1;
  const channels = Math.min(pictures.channels, Math.floor((columns / perPixel + 1) / (width + 1)));
  if (channels === 0) return { lines: [], shown: 0, channels };
  const wide = Math.max(perPixel * (channels * (width + 1) - 1), String(images.length - 1).length);
  const across = Math.max(1, Math.floor((columns + BETWEEN.length) / (wide + BETWEEN.length)));
  const high = (colors === 'none' ? height : Math.ceil(height / 2)) + 1;
  const shown = Math.min(images.length, across * Math.max(1, Math.floor(MOST_LINES / high)));
  const lines: string[] = [];
  for (let first = 0; first < shown; first += across) {
    const numbers = Array.from({ length: Math.min(across, shown - first) }, (_, i) => first + i);
    const blocks = numbers.map((number) => {
      const { values, ...size } = sideBySide(images[number], pictures, channels);
      const drawn = renderSigned(values, size.width, size.height, colors, most);
      const blanks = ' '.repeat(wide - perPixel * size.width);
      return [String(number).padEnd(wide), ...drawn.map((line) => line + blanks)];
    });
    for (let line = 0; line < high; line++)
      lines.push(
        blocks
          .map((block) => block[line])
          .join(BETWEEN)
          .trimEnd(),
      );
  }
  return { lines, shown, channels };
}
