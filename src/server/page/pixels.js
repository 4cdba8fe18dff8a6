/** Numbers to colours and words. */

const OFF = [43, 45, 53];
const LIT = [255, 194, 71];
const BELOW = [90, 167, 255];
const GROUND = [20, 21, 26];
const NEUTRAL = [22, 23, 28];
const FOR = [255, 159, 64];
const AGAINST = [74, 163, 255];

const mix = (from, to, share) => from.map((value, i) => Math.round(value + (to[i] - value) * share));

/** Raises small shares, which the eye would miss on a dark ground. */
const lifted = (value, scale) => (scale > 0 ? Math.min(1, Math.abs(value) / scale) ** 0.6 : 0);

/** Of a lamp: off at 0, lit above, blue below. */
export const lampColour = (value, scale) => mix(OFF, value < 0 ? BELOW : LIT, lifted(value, scale));

/** The same without the lamp's own colour: of a pixel in a filter's image. */
export const mapColour = (value, scale) => mix(GROUND, value < 0 ? BELOW : LIT, lifted(value, scale));

/** Orange for what speaks for a neuron, blue for what speaks against it. */
export const weightColour = (value, scale) =>
  mix(NEUTRAL, value < 0 ? AGAINST : FOR, scale > 0 ? Math.min(1, Math.abs(value) / scale) : 0);

export const inkColour = (value) => [value, value, value];

export const css = ([red, green, blue]) => `rgb(${red} ${green} ${blue})`;

/** Draws `width` x `height` values, of which `valueAt` gives each, a pixel of the canvas each. */
export function paint(canvas, width, height, colourAt) {
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext('2d');
  const image = context.createImageData(width, height);
  for (let pixel = 0; pixel < width * height; pixel++) {
    const colour = colourAt(pixel);
    for (let channel = 0; channel < 3; channel++) image.data[pixel * 4 + channel] = colour[channel];
    image.data[pixel * 4 + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

/** Float32 numbers from base64. */
export function decodeFloats(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return new Float32Array(bytes.buffer);
}

export const largest = (values) => {
  let most = 0;
  for (const value of values) most = Math.max(most, Math.abs(value));
  return most;
};

/** 0.0123, with a minus sign that is one. */
export const number = (value) => {
  const size = Math.abs(value);
  const text =
    size !== 0 && (size < 0.001 || size >= 100_000) ? size.toExponential(1) : String(Number(size.toPrecision(3)));
  return value < 0 && size !== 0 ? `\u2212${text}` : text;
};

export const percent = (share) => `${(share * 100).toFixed(1)} %`;

const ROWS = ['top', 'middle', 'bottom'];
const COLUMNS = ['left', 'centre', 'right'];

/**
 * Which ninth of an image has the most weight for and against a neuron: ["top left", "middle"], null where there is none.
 * People who do not see the image hear it.
 */
export function places({ shape: [height, width], values }) {
  const sums = [new Float64Array(9), new Float64Array(9)];
  values.forEach((value, pixel) => {
    const row = Math.floor((Math.floor(pixel / width) * 3) / height);
    const column = Math.floor(((pixel % width) * 3) / width);
    sums[value < 0 ? 1 : 0][row * 3 + column] += Math.abs(value);
  });
  return sums.map((ninths) => {
    const best = ninths.indexOf(Math.max(...ninths));
    if (ninths[best] === 0) return null;
    const [row, column] = [Math.floor(best / 3), best % 3];
    return row === 1 && column === 1 ? 'middle' : `${ROWS[row]} ${COLUMNS[column]}`;
  });
}

/** An image as [height, width] or [height, width, channels]: its tiles beside each other, with a line between them. */
export function tiles({ shape, values }) {
  const [height, width = 1, channels = 1] = shape.length === 1 ? rowsOf(shape[0]) : shape;
  const across = Math.ceil(Math.sqrt(channels));
  const down = Math.ceil(channels / across);
  const totalWidth = across * (width + 1) - 1;
  const totalHeight = down * (height + 1) - 1;
  const valueAt = (pixel) => {
    const x = pixel % totalWidth;
    const y = Math.floor(pixel / totalWidth);
    const [column, row] = [Math.floor(x / (width + 1)), Math.floor(y / (height + 1))];
    const [inX, inY] = [x % (width + 1), y % (height + 1)];
    const channel = row * across + column;
    if (inX === width || inY === height || channel >= channels) return null;
    const value = values[(inY * width + inX) * channels + channel];
    // What fills up the last row.
    return value === undefined ? null : value;
  };
  return { width: totalWidth, height: totalHeight, valueAt };
}

/** Numbers in a row, broken into lines of about a square. */
function rowsOf(length) {
  const width = Math.ceil(Math.sqrt(length));
  return [Math.ceil(length / width), width];
}
