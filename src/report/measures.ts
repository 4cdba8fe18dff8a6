import type { ClassScores } from '../metrics/class-counts.js';
import type { ReliabilityBin } from '../metrics/expected-calibration-error.js';
import type { Headline } from './elements.js';
import { formatNumber } from './numbers.js';

/** An image that was taken for another class. */
export interface Mistake {
  /** Its place in the test set, from 0. */
  index: number;
  /** The true class, and the most probable one. */
  label: number;
  answer: number;
  /** Of every class. */
  probabilities: readonly number[];
  /** Row-major [height, width], from 0 for black to 255 for white; null where samples are no grey images. */
  image: { height: number; width: number; pixels: ArrayLike<number> } | null;
}

/** What was measured on a test set. */
export interface Measures {
  accuracy: number;
  loss: number;
  count: number;
  top3Accuracy: number;
  expectedCalibrationError: number;
  perClass: readonly (ClassScores & { label: number; count: number; correct: number })[];
  averages: { macro: ClassScores; micro: ClassScores; weighted: ClassScores };
  /** confusion[label][answer]. */
  confusion: readonly (readonly number[])[];
  reliability: readonly ReliabilityBin[];
  /** The surest first; not all of them. */
  mistakes: readonly Mistake[];
}

export type ClassNames = readonly string[] | undefined;

/** The name of a class, with its index where that says more. */
export function classTitle(label: number, names: ClassNames): string {
  const name = names?.[label];
  return name === undefined || name === String(label) ? String(label) : `${label} ${name}`;
}

/** The name of a class by itself. */
export const className = (label: number, names: ClassNames): string => names?.[label] ?? String(label);

/** The numbers that say most. */
export const headlineOf = ({ accuracy, loss, expectedCalibrationError }: Measures): Headline => [
  ['Test accuracy', formatNumber(accuracy, 'percent')],
  ['Test loss', formatNumber(loss, 'loss')],
  ['Calibration error', formatNumber(expectedCalibrationError, 'percent')],
];
