import type { ExplanationSubject } from '../../report/explanation/subject.js';
import type { Screen } from './explanation.js';
import { renderImage, renderSigned } from './image.js';
import { wrapped } from './prose.js';

interface Box {
  top: number;
  left: number;
  width: number;
  height: number;
}

/** Between two pictures. */
const GAP = '   ';

/**
 * What the network sees, and beside it (below, where there is no room) which pixels spoke for and against. Without colour a
 * pixel is two characters wide, so that only what is not black is shown.
 */
export function pictureLines({ explanation, size }: ExplanationSubject, width: number, { colors }: Screen): string[] {
  const { input, classes, answer, contributions } = explanation;
  const { height: rows, width: columns } = size;
  const whole = { top: 0, left: 0, width: columns, height: rows };
  const box = colors === 'none' ? inkBox(input.values, columns, whole) : whole;
  const crop = (values: readonly number[]) => croppedTo(box, values, columns);
  const image = renderImage(crop(input.values.map((value) => Math.round(255 * value))), box.width, box.height, colors);
  const signed = renderSigned(crop(contributions.answer.pixels), box.width, box.height, colors);
  const imageWidth = box.width * (colors === 'none' ? 2 : 1);
  const beside = 2 * imageWidth + GAP.length <= width;
  const { name } = classes[answer];
  const marks =
    colors === 'none' ? '+ speaks for it, - against it, denser is more' : 'orange speaks for it, blue against it';
  const text = `${beside ? 'Left' : 'First'}, its ${rows} x ${columns} pixels, numbers from 0 (black) to 1 (white)${
    box === whole
      ? ''
      : `; rows ${box.top} to ${box.top + box.height - 1} and columns ${box.left} to ${box.left + box.width - 1}, the rest is black`
  }. ${beside ? 'Right' : 'Then'}, what each did for the answer ${name}: ${marks}.`;
  const pictures = beside
    ? image.map((line, i) => `${padded(line, imageWidth)}${GAP}${signed[i]}`.trimEnd())
    : [...image, '', ...signed];
  return [...wrapped(text, width), ...pictures];
}

/** Lines of colour have their full width already. */
const padded = (line: string, width: number): string => (line.includes('\x1b') ? line : line.padEnd(width));

/** The smallest box around all that is not 0; the whole where nothing is. */
function inkBox(values: readonly number[], columns: number, whole: Box): Box {
  let [top, bottom, left, right] = [whole.height, -1, whole.width, -1];
  values.forEach((value, i) => {
    if (value === 0) return;
    const [row, column] = [Math.floor(i / columns), i % columns];
    [top, bottom] = [Math.min(top, row), Math.max(bottom, row)];
    [left, right] = [Math.min(left, column), Math.max(right, column)];
  });
  if (bottom < 0 || (bottom - top + 1 === whole.height && right - left + 1 === whole.width)) return whole;
  return { top, left, width: right - left + 1, height: bottom - top + 1 };
}

function croppedTo({ top, left, width, height }: Box, values: readonly number[], columns: number): number[] {
  return Array.from(
    { length: width * height },
    (_, i) => values[(top + Math.floor(i / width)) * columns + left + (i % width)],
  );
}
