import type { WriteStream } from 'node:tty';
import { greatest, type Rgb, signedColor } from '../../pictures/picture.js';

/** What a terminal can show: no colours, the 256 of xterm, or 24 bits. */
export type ColorSupport = 'none' | '256' | 'truecolor';

/** Two columns of text to a pixel keep it about square. */
const RAMP = ' .:-=+*#%@';
const UPPER_HALF = '▀';
const RESET = '\x1b[0m';

/** What a stream can show. Follows NO_COLOR, FORCE_COLOR and TERM as Node.js does. */
export function colorSupport(stream: Pick<WriteStream, 'isTTY' | 'getColorDepth'>): ColorSupport {
  if (!stream.isTTY) return 'none';
  const depth = stream.getColorDepth();
  return depth >= 24 ? 'truecolor' : depth >= 8 ? '256' : 'none';
}

/**
 * Draws grey pixels as lines of text. In colour, a character is two pixels, one above the other: the half block's
 * foreground and background. Without colour, a pixel is two characters of a ramp from blank (0) to dense (255).
 *
 * @param pixels Row-major, `height` x `width`.
 */
export function renderImage(
  pixels: ArrayLike<number>,
  width: number,
  height: number,
  colors: ColorSupport = 'none',
): string[] {
  if (colors !== 'none') return halfBlocks(width, height, (place) => greyCode(pixels[place], colors));
  return linesOf(width, height, (place) => RAMP[step(pixels[place] / 256, RAMP.length)].repeat(2));
}

/**
 * Draws signed numbers: in colour as `signedPicture` does, orange above zero and blue below. Without colour, a pixel is a
 * sign and a character of the ramp: `+#` is far above zero, `-.` a little below.
 *
 * @param values Row-major, `height` x `width`.
 * @param most What gets the full colour; default the greatest absolute value.
 */
export function renderSigned(
  values: ArrayLike<number>,
  width: number,
  height: number,
  colors: ColorSupport = 'none',
  most: number = greatest(values),
): string[] {
  if (colors !== 'none') return halfBlocks(width, height, (place) => rgbCode(signedColor(values[place], most), colors));
  return linesOf(width, height, (place) => {
    const size = most > 0 ? Math.min(Math.abs(values[place]) / most, 1) : 0;
    const dots = RAMP[step(size, RAMP.length)];
    return dots === ' ' ? '  ' : `${values[place] < 0 ? '-' : '+'}${dots}`;
  });
}

/** Which of `count` equal parts of [0, 1] a number lies in. */
const step = (share: number, count: number) => Math.min(Math.floor(share * count), count - 1);

function linesOf(width: number, height: number, textOf: (place: number) => string): string[] {
  return Array.from({ length: height }, (_, y) =>
    Array.from({ length: width }, (_, x) => textOf(y * width + x)).join(''),
  );
}

/** @param codeOf The colour of a place, as the parameters behind 38 and 48. */
function halfBlocks(width: number, height: number, codeOf: (place: number) => string): string[] {
  const lines: string[] = [];
  for (let y = 0; y < height; y += 2) {
    let line = '';
    let painted = '';
    for (let x = 0; x < width; x++) {
      // Below the last row of an odd height, the terminal's own background stays.
      const below = y + 1 < height ? `48;${codeOf((y + 1) * width + x)}` : '49';
      const wanted = `38;${codeOf(y * width + x)};${below}`;
      line += wanted === painted ? UPPER_HALF : `\x1b[${wanted}m${UPPER_HALF}`;
      painted = wanted;
    }
    lines.push(line + RESET);
  }
  return lines;
}

function greyCode(value: number, colors: ColorSupport): string {
  if (colors === 'truecolor') return `2;${value};${value};${value}`;
  // xterm's palette: 16 is black, 231 white, and 232 to 255 are greys of 8, 18, ... 238.
  if (value < 4) return '5;16';
  if (value > 246) return '5;231';
  return `5;${232 + Math.min(23, Math.max(0, Math.round((value - 8) / 10)))}`;
}

/** The levels of xterm's cube of 6 x 6 x 6 colours, which begins at 16. */
const CUBE = [0, 95, 135, 175, 215, 255];

function rgbCode(color: Rgb, colors: ColorSupport): string {
  if (colors === 'truecolor') return `2;${color.map(Math.round).join(';')}`;
  // Dark colours are nearer to a grey than to the cube's, whose first step is large.
  if (Math.max(...color) < 60) return greyCode(Math.round(Math.max(...color)), colors);
  const [red, green, blue] = color.map((value) =>
    CUBE.reduce((best, level, i) => (Math.abs(level - value) < Math.abs(CUBE[best] - value) ? i : best), 0),
  );
  return `5;${16 + 36 * red + 6 * green + blue}`;
}
