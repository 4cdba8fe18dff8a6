import { type Rows, takeRows } from '../data/rows.js';
import { checkInteger, expected, MnistTrainError } from '../errors.js';
import { checkBoolean, checkOptions, type OptionNames } from '../options.js';
import { sizeOf } from '../program/program.js';
import { RandomPurpose, shuffle } from '../random.js';
import type { LabelledSamples } from './samples.js';

export interface KFoldOptions {
  /** Into how many parts the samples are divided, from 2 up to their number; default 5. */
  folds?: number;
  /** Whether chance decides which sample goes into which part; otherwise each part is a stretch. Default true. */
  shuffle?: boolean;
  /** Of that chance, a whole number from 0; default 0. */
  seed?: number;
  /**
   * Whether every part gets its share of each class. Default: true for class labels, which are whole numbers in a
   * Uint8Array, an Int32Array or an array, one per sample; false for other targets.
   */
  stratified?: boolean;
}

export interface Fold<Data extends LabelledSamples = LabelledSamples> {
  /** From 1 to `folds`. */
  fold: number;
  folds: number;
  /** All samples but those of this part, in the order of the data. */
  train: Data;
  /** The samples of this part, in the order of the data. */
  validation: Data;
}

export const K_FOLD_OPTIONS: OptionNames<KFoldOptions> = { folds: true, shuffle: true, seed: true, stratified: true };

/**
 * Divides samples into k parts and gives each part its turn as validation data, beside the rest to train on. Every sample
 * is in one part. The sizes of parts differ by one at most, and so do the numbers of samples of a class when stratified.
 * The same data, options and seed give the same parts on every machine.
 *
 * The data of a fold are copies, made when its turn comes: a fold takes as much memory as the whole data. MNIST has 47 MB.
 *
 * Throws ERR_ARGUMENT, ERR_SHAPE or ERR_DATA at once, not with the first fold.
 */
export function kFold<Data extends LabelledSamples>(data: Data, options?: KFoldOptions): Generator<Fold<Data>, void> {
  const division = divide(data, options);
  return (function* () {
    for (let fold = 1; fold <= division.folds; fold++) yield takeFold(data, division, fold);
  })();
}

/** One of the folds that `kFold` yields, from 1, without making the others. */
export function foldOf<Data extends LabelledSamples>(data: Data, fold: number, options?: KFoldOptions): Fold<Data> {
  const division = divide(data, options);
  return takeFold(data, division, checkInteger(fold, 'fold', 1, division.folds));
}

interface Division {
  folds: number;
  count: number;
  /** The part of each sample, from 1. */
  parts: Uint32Array;
}

function divide(data: LabelledSamples, options: KFoldOptions | undefined): Division {
  const checked = checkOptions(options, 'kFold', K_FOLD_OPTIONS);
  const count = countOf(data);
  const folds = checkInteger(checked.folds ?? 5, 'folds', 2);
  if (folds > count) throw expected(`at most ${count}, a sample for each part,`, 'folds', folds);
  const seed = checkInteger(checked.seed ?? 0, 'seed', 0);
  const mixed = checkBoolean(checked.shuffle ?? true, 'shuffle');
  const labelled = hasLabels(data, count);
  const stratified = checkBoolean(checked.stratified ?? labelled, 'stratified');
  if (stratified && !labelled) {
    throw expected('false without one class label per sample', 'stratified', stratified);
  }
  const groups = stratified ? byClass(data.targets) : [Uint32Array.from({ length: count }, (_, sample) => sample)];
  const parts = new Uint32Array(count);
  let dealt = 0;
  groups.forEach((samples, group) => {
    if (mixed) shuffle(samples, seed, RandomPurpose.folds, group);
    // Who would be dealt card by card to the folds in a circle, going on from group to group, gets as many in a stretch:
    // so both the parts and their shares of each class differ by one at most.
    let next = 0;
    for (let fold = 0; fold < folds; fold++) {
      const first = (fold - (dealt % folds) + folds) % folds;
      for (let place = first; place < samples.length; place += folds) parts[samples[next++]] = fold + 1;
    }
    dealt += samples.length;
  });
  return { folds, count, parts };
}

function countOf(data: LabelledSamples): number {
  if (typeof data !== 'object' || data === null || !isList(data.inputs) || !isList(data.targets)) {
    throw expected('an object with inputs and targets', 'data', data);
  }
  const { inputs, targets, shape } = data;
  const labels = targets instanceof Uint8Array || targets instanceof Int32Array;
  const count = data.count ?? (shape ? inputs.length / sizeOf(shape) : labels ? targets.length : undefined);
  if (count === undefined) {
    throw expected('the number of samples', 'data.count', count, 'It cannot be told from these targets.');
  }
  checkInteger(count, 'the number of samples', 1);
  for (const [name, { length }] of Object.entries({ inputs, targets })) {
    if (length > 0 && length % count === 0) continue;
    const what = `as much for each of ${count} samples`;
    throw new MnistTrainError('ERR_SHAPE', `Expected ${what} for data.${name}, received ${length} elements.`);
  }
  return count;
}

const isList = (value: unknown): value is ArrayLike<number> => Array.isArray(value) || ArrayBuffer.isView(value);

function hasLabels({ targets }: LabelledSamples, count: number): boolean {
  if (targets.length !== count) return false;
  if (targets instanceof Float32Array) return false;
  return !Array.isArray(targets) || targets.every((label) => Number.isInteger(label));
}

/** The samples of each class, in the order of the labels. */
function byClass(labels: ArrayLike<number>): Uint32Array[] {
  const classes = new Map<number, number[]>();
  for (let sample = 0; sample < labels.length; sample++) {
    const samples = classes.get(labels[sample]);
    if (samples) samples.push(sample);
    else classes.set(labels[sample], [sample]);
  }
  return [...classes].sort(([a], [b]) => a - b).map(([, samples]) => Uint32Array.from(samples));
}

function takeFold<Data extends LabelledSamples>(data: Data, { folds, count, parts }: Division, fold: number) {
  const side = (validates: boolean): Data => {
    const samples: number[] = [];
    for (let sample = 0; sample < count; sample++) if ((parts[sample] === fold) === validates) samples.push(sample);
    const inputs = takeList(data.inputs, data.inputs.length / count, samples);
    const targets = takeList(data.targets, data.targets.length / count, samples);
    return { ...data, inputs, targets, count: samples.length };
  };
  return { fold, folds, train: side(false), validation: side(true) };
}

type List = LabelledSamples['inputs'] | LabelledSamples['targets'];

/** Copies of rows of `columns` elements, in a list of the same type. */
function takeList(values: List, columns: number, rows: readonly number[]): List {
  if (Array.isArray(values)) return rows.flatMap((row) => values.slice(row * columns, (row + 1) * columns));
  return takeRows(values as Rows, columns, rows);
}
