import type { WriteStream } from 'node:tty';

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
  const rows = colors === 'none' ? 1 : 2;
  const lines: string[] = [];
  for (let y = 0; y < height; y += rows) {
    let line = '';
    let painted = '';
    for (let x = 0; x < width; x++) {
      const upper = pixels[y * width + x];
      if (colors === 'none') {
        line += RAMP[Math.min(Math.floor((upper * RAMP.length) / 256), RAMP.length - 1)].repeat(2);
        continue;
      }
      // Below the last row of an odd height, the terminal's own background stays.
      const below = y + 1 < height ? `;${paint(48, pixels[(y + 1) * width + x], colors)}` : ';49';
      const wanted = paint(38, upper, colors) + below;
      line += wanted === painted ? UPPER_HALF : `\x1b[${wanted}m${UPPER_HALF}`;
      painted = wanted;
    }
    lines.push(colors === 'none' ? line : line + RESET);
  }
  return lines;
}

/** The parameters that set a grey as foreground (38) or background (48). */
function paint(target: 38 | 48, value: number, colors: ColorSupport): string {
  if (colors === 'truecolor') return `${target};2;${value};${value};${value}`;
  // xterm's palette: 16 is black, 231 white, and 232 to 255 are greys of 8, 18, ... 238.
  if (value < 4) return `${target};5;16`;
  if (value > 246) return `${target};5;231`;
  return `${target};5;${232 + Math.min(23, Math.max(0, Math.round((value - 8) / 10)))}`;
}
