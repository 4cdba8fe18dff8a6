/**
 * A drawing to an image as MNIST has it (Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database"): the digit is scaled
 * into a box of 20 x 20 with its aspect ratio kept and edges smoothed, and placed in 28 x 28 with its centre of mass in the
 * middle. In the published files that is pixel (14, 14) counted from 0: over the test set, the centres lie between 13.5
 * and 14.5 in both directions, and the longer side of all but three digits has 20 pixels.
 */

/** Ink: 0 background, more is more ink. Row-major. */
export interface Ink {
  width: number;
  height: number;
  values: Uint8Array;
}

export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** Part of the darkest ink below which everything counts as background: 16 of 255. */
const FAINTEST = 1 / 16;
/** The largest of 100,000 values of normal noise is 4.3 deviations off, 2.6 times what 95 % stay below. */
const NOISE_MARGIN = 3;

/**
 * Clears what is background and finds the box around the rest.
 *
 * The threshold lies above the spread of the values at the border, where paper and the camera's noise show without ink;
 * but below Otsu's threshold between background and ink, in case the digit touches the border.
 *
 * @param border The ink values at the border, sorted.
 * @returns null when nothing is left.
 */
export function clearBackground(ink: Ink, border: Uint8Array): Box | null {
  const { width, height, values } = ink;
  const histogram = new Float64Array(256);
  let strongest = 0;
  for (const value of values) {
    histogram[value]++;
    if (value > strongest) strongest = value;
  }
  const noise = NOISE_MARGIN * border[Math.floor(border.length * 0.95)];
  const threshold = Math.min(Math.max(strongest * FAINTEST, noise), 0.75 * otsuThreshold(histogram));
  let left = width;
  let right = -1;
  let top = height;
  let bottom = -1;
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (values[i] <= threshold) {
        values[i] = 0;
        continue;
      }
      if (x < left) left = x;
      if (x > right) right = x;
      if (y < top) top = y;
      bottom = y;
    }
  }
  return right < 0 ? null : { left, top, width: right - left + 1, height: bottom - top + 1 };
}

/**
 * The threshold between two classes that maximises the variance between them (N. Otsu, "A threshold selection method from
 * gray-level histograms", 1979): halfway between the means of the classes.
 */
export function otsuThreshold(histogram: Float64Array): number {
  let total = 0;
  let sum = 0;
  for (let value = 0; value < histogram.length; value++) {
    total += histogram[value];
    sum += value * histogram[value];
  }
  let below = 0;
  let belowSum = 0;
  let best = -1;
  let threshold = 0;
  for (let value = 0; value < histogram.length; value++) {
    below += histogram[value];
    belowSum += value * histogram[value];
    const above = total - below;
    if (below === 0 || above === 0) continue;
    const lowMean = belowSum / below;
    const highMean = (sum - belowSum) / above;
    const variance = below * above * (highMean - lowMean) ** 2;
    if (variance > best) {
      best = variance;
      threshold = (lowMean + highMean) / 2;
    }
  }
  return threshold;
}

/**
 * Scales the box so that its longer side has `side` pixels. Each result is the mean over the area that it covers, so a
 * stroke of one pixel in a thousand still leaves its share. Row-major, ceil(width) x ceil(height) of the scaled box.
 */
export function scaleBox(ink: Ink, box: Box, side: number): { width: number; height: number; values: Float64Array } {
  const step = Math.max(box.width, box.height) / side;
  // The small number keeps 200 / 10 at 20 columns when the division comes out a little above.
  const width = Math.max(1, Math.ceil(box.width / step - 1e-9));
  const height = Math.max(1, Math.ceil(box.height / step - 1e-9));
  const values = new Float64Array(width * height);
  const columns = coverage(width, step, box.width);
  const rows = coverage(height, step, box.height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (let sy = rows[y].first; sy <= rows[y].last; sy++) {
        const row = (box.top + sy) * ink.width + box.left;
        let rowSum = 0;
        for (let sx = columns[x].first; sx <= columns[x].last; sx++) {
          rowSum += ink.values[row + sx] * overlap(sx, x, step);
        }
        sum += rowSum * overlap(sy, y, step);
      }
      values[y * width + x] = sum / (step * step);
    }
  }
  return { width, height, values };
}

/** For each of `count` results, the source pixels that its stretch of `step` touches. */
function coverage(count: number, step: number, sourceCount: number): { first: number; last: number }[] {
  return Array.from({ length: count }, (_, i) => ({
    first: Math.floor(i * step),
    last: Math.min(sourceCount, Math.ceil((i + 1) * step)) - 1,
  }));
}

/** How much of the source pixel [source, source + 1) lies in [target · step, (target + 1) · step). */
function overlap(source: number, target: number, step: number): number {
  return Math.max(0, Math.min(source + 1, (target + 1) * step) - Math.max(source, target * step));
}

/**
 * Puts scaled ink into an image of [height, width] so that the centre of mass comes to its middle, as near as whole pixels
 * allow and without cutting anything off. The strongest ink becomes 255, as in MNIST, however thin the strokes were.
 */
export function placeCentered(
  scaled: { width: number; height: number; values: Float64Array },
  width: number,
  height: number,
): Uint8Array {
  let mass = 0;
  let massX = 0;
  let massY = 0;
  let strongest = 0;
  scaled.values.forEach((value, i) => {
    mass += value;
    massX += value * (i % scaled.width);
    massY += value * Math.floor(i / scaled.width);
    strongest = Math.max(strongest, value);
  });
  const left = clamp(Math.round(width / 2 - massX / mass), width - scaled.width);
  const top = clamp(Math.round(height / 2 - massY / mass), height - scaled.height);
  const pixels = new Uint8Array(width * height);
  scaled.values.forEach((value, i) => {
    const x = left + (i % scaled.width);
    const y = top + Math.floor(i / scaled.width);
    pixels[y * width + x] = Math.round((255 * value) / strongest);
  });
  return pixels;
}

const clamp = (value: number, max: number) => Math.min(Math.max(value, 0), max);
