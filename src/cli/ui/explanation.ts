import type { Explanation } from '../../index.js';
import { pixelSums, plainNumber, restByKind, signedNumber, strongestPixels } from '../../report/explanation/numbers.js';
import { type ExplanationSubject, nameOf } from '../../report/explanation/subject.js';
import { reasonText } from '../../report/explanation/words.js';
import type { Output } from '../output.js';
import { layerLines } from './explanation-layers.js';
import { pictureLines } from './explanation-pictures.js';
import { stepLines } from './explanation-step.js';
import { percent } from './format.js';
import { wrapped } from './prose.js';
import { table } from './tables.js';

export type Screen = Pick<Output, 'style' | 'colors' | 'columns'>;

/** The widest that prose is set. */
const WIDEST = 100;
/** Pixels that are named. */
const NAMED_PIXELS = 3;

/** An explanation for people, from the pixels to the probabilities and on to the step. */
export function explanationText(subject: ExplanationSubject, screen: Screen): string {
  const width = Math.min(screen.columns, WIDEST);
  const { style } = screen;
  const { explanation } = subject;
  const title = (text: string) => ['', style.strong(text)];
  return [
    ...introduction(subject, width, screen),
    ...title('What the network sees'),
    ...pictureLines(subject, width, screen),
    ...layerLines(subject, width, screen),
    ...title(`Why ${nameOf(explanation, explanation.answer)}, and not ${nameOf(explanation, explanation.rival)}`),
    ...reasonLines(explanation, width),
    ...title('What one step of training on this image would change'),
    ...stepLines(explanation, width),
  ].join('\n');
}

function introduction(
  { explanation, network, image, notes, expected }: ExplanationSubject,
  width: number,
  { style }: Screen,
): string[] {
  const { answer, classes } = explanation;
  const verdict = `${image} is ${style.strong(nameOf(explanation, answer))}, ${percent(classes[answer].probability)} sure`;
  const truth =
    expected === undefined
      ? ''
      : expected === answer
        ? ', and right'
        : `; its label is ${nameOf(explanation, expected)}`;
  return [
    `${verdict}${truth}.`,
    ...wrapped(
      `This is how ${network} came to that answer, layer by layer. Rows, columns, neurons and layers count from 0. ` +
        `The image: ${notes.join(', ')}.`,
      width,
    ),
  ];
}

function reasonLines(explanation: Explanation, width: number): string[] {
  const { contributions, answer, rival, input } = explanation;
  const { answer: ofLogit, lead } = contributions;
  const both = [ofLogit, lead];
  const pixels = both.map(({ pixels }) => pixelSums(pixels));
  const rest = both.map((each) => restByKind(each.rest));
  const row = (title: string, values: readonly number[]) => [title, ...values.map((value) => signedNumber(value))];
  const rows = [
    row(
      'pixels that speak for it',
      pixels.map(({ plus }) => plus),
    ),
    row(
      'pixels that speak against it',
      pixels.map(({ minus }) => minus),
    ),
    ...rest[0].map(({ title }, kind) =>
      row(
        title,
        rest.map((each) => each[kind].contribution),
      ),
    ),
    row(
      'together',
      both.map(({ logit }) => logit),
    ),
  ];
  const strong = strongestPixels(lead.pixels, input, NAMED_PIXELS);
  const named = (list: typeof strong.plus) =>
    list.map(({ place, contribution }) => `${place} ${signedNumber(contribution)}`).join(', ') || 'none';
  return [
    ...wrapped(reasonText(explanation), width),
    table(
      [
        { title: '', align: 'left' },
        { title: `logit of ${nameOf(explanation, answer)}` },
        { title: `lead over ${nameOf(explanation, rival)}` },
      ],
      rows,
    ),
    ...wrapped(
      `Most for the lead: ${named(strong.plus)}. Most against it: ${named(strong.minus)}. Since the network computes in float32, its ` +
        `logit differs from the exact sum by ${plainNumber(ofLogit.rounding)}.`,
      width,
    ),
  ];
}
