/** What the functions of this folder take, read and checked in one place. */

import { checkInteger, expected } from '../errors.js';

/** Class indices, one per sample. With one column of scores: 0 or 1. */
export type Labels = Uint8Array | Int32Array | readonly number[];
/** Row-major [count, classes], as `predict` gives them; one column for yes or no. */
export type Scores = Float32Array | Float64Array | readonly number[];

export interface ScoreOptions {
  /** True for what comes before softmax, or before sigmoid with one column; default false, probabilities. */
  fromLogits?: boolean;
}

/** How far the probabilities of a sample may add up beside 1. */
const SUM_TOLERANCE = 1e-3;

const isFloatArray = (value: unknown): value is Float32Array | Float64Array =>
  value instanceof Float32Array || value instanceof Float64Array;

const isIndexArray = (value: unknown): value is Labels =>
  value instanceof Uint8Array || value instanceof Int32Array || Array.isArray(value);

/** Checks class indices: whole numbers, below `classes` where that is given. Throws ERR_ARGUMENT, ERR_SHAPE or ERR_DATA. */
function checkLabels(labels: Labels, classes = Infinity, name = 'labels'): void {
  if (!isIndexArray(labels)) {
    throw expected('class indices in a Uint8Array, an Int32Array or an array', name, labels);
  }
  if (labels.length === 0) throw expected('at least one class index', name, labels, '', 'ERR_SHAPE');
  for (let index = 0; index < labels.length; index++) {
    const label = labels[index];
    if (Number.isInteger(label) && label >= 0 && label < classes) continue;
    const what =
      classes === Infinity ? 'a class index, a whole number from 0,' : `a class index from 0 to ${classes - 1}`;
    throw expected(what, `${name}[${index}]`, label, '', 'ERR_DATA');
  }
}

/**
 * The columns of scores that belong to labels, both checked: whole rows, finite numbers, labels among the columns; one
 * column stands for two classes. Throws ERR_ARGUMENT, ERR_SHAPE or ERR_DATA.
 */
export function checkScores(labels: Labels, scores: Scores, name: string): number {
  checkLabels(labels);
  if (!isFloatArray(scores) && !Array.isArray(scores)) {
    throw expected('a Float32Array, a Float64Array or an array', name, scores, 'Rows of [count, classes], made flat.');
  }
  const columns = scores.length / labels.length;
  if (!Number.isInteger(columns) || columns === 0) {
    throw expected(`a multiple of ${labels.length} numbers, a row per label,`, name, scores, '', 'ERR_SHAPE');
  }
  for (let index = 0; index < scores.length; index++) {
    if (!Number.isFinite(scores[index])) {
      const place = `${name}[${index}] (sample ${Math.floor(index / columns)})`;
      throw expected('a finite number', place, scores[index], '', 'ERR_DATA');
    }
  }
  checkLabels(labels, Math.max(2, columns));
  return columns;
}

/** The same where every number has to be a probability, and a row of several has to add up to 1. */
export function checkProbabilities(labels: Labels, probabilities: Scores, name = 'probabilities'): number {
  const columns = checkScores(labels, probabilities, name);
  const hint = 'For what comes before softmax or sigmoid say fromLogits: true.';
  for (let sample = 0; sample < labels.length; sample++) {
    let sum = 0;
    for (let index = sample * columns; index < (sample + 1) * columns; index++) {
      const value = probabilities[index];
      if (value < 0 || value > 1 + SUM_TOLERANCE) {
        throw expected('a probability from 0 to 1', `${name}[${index}] (sample ${sample})`, value, hint, 'ERR_DATA');
      }
      sum += value;
    }
    if (columns > 1 && Math.abs(sum - 1) > SUM_TOLERANCE) {
      throw expected('a sum of 1', `the ${name} of sample ${sample}`, sum, hint, 'ERR_DATA');
    }
  }
  return columns;
}

/**
 * The answers of a model and the number of classes, from class indices or from scores; see `answerOf` for those.
 * An array of numbers as long as the labels holds class indices.
 */
export function readAnswers(
  labels: Labels,
  answers: Labels | Scores,
  classes: number | undefined,
): { predictions: ArrayLike<number>; classes: number } {
  if (classes !== undefined) checkInteger(classes, 'classes', 1);
  checkLabels(labels);
  if (isIndexArray(answers) && answers.length === labels.length) {
    checkLabels(answers, classes, 'predictions');
    checkLabels(labels, classes);
    return { predictions: answers, classes: classes ?? 1 + Math.max(greatest(labels), greatest(answers)) };
  }
  if (!isFloatArray(answers) && !Array.isArray(answers)) {
    const what = `${labels.length} class indices, or probabilities in a Float32Array,`;
    throw expected(what, 'predictions', answers, '', 'ERR_SHAPE');
  }
  const columns = checkScores(labels, answers, 'probabilities');
  const held = Math.max(2, columns);
  if (classes !== undefined && classes !== held) {
    throw expected(`${held}, as the probabilities have,`, 'classes', classes, '', 'ERR_SHAPE');
  }
  return { predictions: answersOf(answers, columns), classes: held };
}

/** The answer of every row. */
export function answersOf(scores: ArrayLike<number>, columns: number): Int32Array {
  const answers = new Int32Array(scores.length / columns);
  for (let row = 0; row < answers.length; row++) answers[row] = answerOf(scores, row, columns);
  return answers;
}

/** The class of a row: the first of its largest; with one column 1 where it is above 0.5, else 0. */
export function answerOf(scores: ArrayLike<number>, row: number, columns: number): number {
  if (columns === 1) return scores[row] > 0.5 ? 1 : 0;
  const first = row * columns;
  let best = first;
  for (let index = first + 1; index < first + columns; index++) if (scores[index] > scores[best]) best = index;
  return best - first;
}

function greatest(values: Labels): number {
  let most = 0;
  for (let index = 0; index < values.length; index++) most = Math.max(most, values[index]);
  return most;
}
