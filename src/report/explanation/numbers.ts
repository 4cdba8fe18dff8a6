import type { Contributions, ExplainedClass, Explanation, LayerContribution } from '../../model/explain/explanation.js';
import { imageShapeOf } from '../../model/explain/places.js';

/** What an explanation says in numbers, the same on a terminal and on a page. */

/** With two digits behind the point, or the first two that are not 0: 13.60, -0.07, 0.0031, 4.7e-5. */
export function plainNumber(value: number): string {
  const size = Math.abs(value);
  if (size === 0) return '0';
  if (size >= 0.095) return value.toFixed(2);
  return size >= 1e-4 ? String(Number(value.toPrecision(2))) : value.toExponential(1).replace('e+', 'e');
}

/** The same with its sign: +13.60. */
export const signedNumber = (value: number): string => `${value > 0 ? '+' : ''}${plainNumber(value)}`;

/** As many digits as count: losses of sure answers are small. */
export const digits = (value: number, count = 4): string => String(Number(value.toPrecision(count)));

export const gradientText = (value: number): string =>
  Math.abs(value) >= 0.001 ? value.toPrecision(4) : value.toExponential(3);

/** With enough digits to see a step. */
export const weightText = (value: number): string => value.toFixed(7);

/** Two probabilities, with so many digits that their difference shows, if four do. */
export function probabilitiesText(before: number, after: number): readonly [string, string] {
  const percent = (fraction: number, places: number) => `${(fraction * 100).toFixed(places)} %`;
  const shown = [2, 3, 4].map((places) => [percent(before, places), percent(after, places)] as const);
  return shown.find(([a, b]) => a !== b) ?? shown[0];
}

export interface PixelSums {
  /** Of the pixels that spoke for it, and of those against. */
  plus: number;
  minus: number;
}

export function pixelSums(pixels: readonly number[]): PixelSums {
  let [plus, minus] = [0, 0];
  for (const value of pixels) {
    if (value > 0) plus += value;
    else minus += value;
  }
  return { plus, minus };
}

export interface StrongPixel {
  /** "row 12 column 9". */
  place: string;
  brightness: number;
  contribution: number;
}

/** The pixels that did most: for, the greatest first; against, the least first. */
export function strongestPixels(
  pixels: readonly number[],
  { shape, values }: Explanation['input'],
  count: number,
): { plus: StrongPixel[]; minus: StrongPixel[] } {
  const [, width, channels] = imageShapeOf(shape) ?? [1, pixels.length, 1];
  const order = pixels.map((_, index) => index).sort((a, b) => pixels[b] - pixels[a]);
  const strong = (index: number): StrongPixel => {
    const position = Math.floor(index / channels);
    const place = `row ${Math.floor(position / width)} column ${position % width}`;
    return { place, brightness: values[index], contribution: pixels[index] };
  };
  return {
    plus: order
      .filter((index) => pixels[index] > 0)
      .slice(0, count)
      .map(strong),
    minus: order
      .reverse()
      .filter((index) => pixels[index] < 0)
      .slice(0, count)
      .map(strong),
  };
}

const REST_TITLES: Readonly<Record<LayerContribution['of'], string>> = {
  biases: 'biases',
  shift: 'shifts of normalization',
  curvature: 'bends of activations',
};

/** "biases of layer 0". */
export const titleOfRest = ({ layer, of }: LayerContribution): string => `${REST_TITLES[of]} of layer ${layer}`;

/** What is not from pixels, by its kind. */
export function restByKind(rest: Contributions['rest']): { title: string; contribution: number }[] {
  return (['biases', 'shift', 'curvature'] as const).flatMap((kind) => {
    const own = rest.filter(({ of }) => of === kind);
    if (own.length === 0) return [];
    return [{ title: REST_TITLES[kind], contribution: own.reduce((sum, { contribution }) => sum + contribution, 0) }];
  });
}

/** The label, and the classes whose probability the step moves most, in the order of the classes. */
export function movedClasses({ classes, step }: Explanation, count: number): ExplainedClass[] {
  const move = ({ label, probability }: ExplainedClass) =>
    label === step.label ? Number.POSITIVE_INFINITY : Math.abs(step.probabilitiesAfter[label] - probability);
  const most = [...classes].sort((a, b) => move(b) - move(a)).slice(0, count);
  return classes.filter((each) => most.includes(each));
}
