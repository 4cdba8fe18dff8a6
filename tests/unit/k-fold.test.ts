import { describe, expect, it } from 'vitest';
import { type Fold, kFold, type LabelledSamples } from '../../src/index.js';
import { foldOf } from '../../src/model/k-fold.js';
import { errorOf, failure } from '../helpers/toy.js';

/** Samples whose inputs say which sample they are: sample s has [s, s + 0.5]. */
function numbered(targets: LabelledSamples['targets'], count = targets.length): LabelledSamples {
  const inputs = Float32Array.from({ length: 2 * count }, (_, at) => Math.floor(at / 2) + (at % 2) / 2);
  return { inputs, targets, count };
}

/** The samples of a part, by their inputs. */
const samplesOf = ({ inputs }: LabelledSamples) => Array.from(inputs).filter((_, at) => at % 2 === 0);
const validations = (folds: Iterable<Fold>) => [...folds].map(({ validation }) => samplesOf(validation));
/** 23 labels: 13 of class 0, 7 of class 1, 3 of class 5. */
const LABELS = Uint8Array.from('00100150010010050010105', Number);

describe('kFold', () => {
  it.each([
    [2, true],
    [5, true],
    [23, true],
    [5, false],
  ])('%i folds, shuffle %s: every sample validates once and trains in the other folds', (folds, shuffle) => {
    for (const stratified of [true, false]) {
      const parts = [...kFold(numbered(LABELS), { folds, shuffle, stratified, seed: 3 })];
      expect(parts.map(({ fold, folds: of }) => [fold, of])).toEqual(
        Array.from({ length: folds }, (_, index) => [index + 1, folds]),
      );
      const all = Array.from({ length: 23 }, (_, sample) => sample);
      for (const { train, validation } of parts) {
        const [trained, validated] = [samplesOf(train), samplesOf(validation)];
        expect([...trained, ...validated].sort((a, b) => a - b)).toEqual(all);
        expect([train.count, validation.count]).toEqual([trained.length, validated.length]);
        expect(Math.abs(validated.length - 23 / folds)).toBeLessThan(1);
        // Rows and targets stay together.
        expect(Array.from(validation.targets)).toEqual(validated.map((sample) => LABELS[sample]));
        expect(Array.from(validation.inputs)).toEqual(validated.flatMap((sample) => [sample, sample + 0.5]));
      }
      expect(validations(parts).flat()).toHaveLength(23);
      expect(new Set(validations(parts).flat()).size).toBe(23);
    }
  });

  it('gives every part its share of each class', () => {
    for (const { validation } of kFold(numbered(LABELS), { folds: 3 })) {
      for (const [label, count] of [
        [0, 13],
        [1, 7],
        [5, 3],
      ]) {
        const share = Array.from(validation.targets).filter((target) => target === label).length;
        expect(Math.abs(share - count / 3)).toBeLessThan(1);
      }
    }
  });

  it('is decided by the seed, and without shuffling by the order alone', () => {
    const parts = (seed: number) => validations(kFold(numbered(LABELS), { seed }));
    expect(parts(1)).toEqual(parts(1));
    expect(parts(1)).not.toEqual(parts(2));
    expect(validations(kFold(numbered(LABELS)))).toEqual(parts(0));
    const stretches = kFold(numbered(LABELS), { folds: 3, shuffle: false, stratified: false });
    expect(validations(stretches)).toEqual([
      [0, 1, 2, 3, 4, 5, 6, 7],
      [8, 9, 10, 11, 12, 13, 14, 15],
      [16, 17, 18, 19, 20, 21, 22],
    ]);
    // Stretches of each class: 0, 1, 3, 4 are the first of class 0, 2, 5, 10 of class 1.
    const stratified = validations(kFold(numbered(LABELS), { folds: 3, shuffle: false }));
    expect(stratified[0]).toEqual(expect.arrayContaining([0, 1, 3, 4]));
    expect(stratified[0]).not.toContain(22);
  });

  it('keeps the types, the shape and the names, and leaves the data alone', () => {
    const data = { inputs: new Uint8Array(12), targets: Int32Array.of(2, 1, 2, 1), shape: [3], classNames: ['a', 'b'] };
    const [{ train, validation }] = kFold(data, { folds: 2 });
    for (const part of [train, validation]) {
      expect(part.inputs).toBeInstanceOf(Uint8Array);
      expect(part.targets).toBeInstanceOf(Int32Array);
      expect(Array.from(part.targets).sort()).toEqual([1, 2]);
      expect(part).toMatchObject({ count: 2, shape: [3], classNames: ['a', 'b'] });
    }
    validation.inputs.fill(9);
    expect(data.inputs).toEqual(new Uint8Array(12));
  });

  it('takes plain arrays, and targets of several numbers', () => {
    const data = { inputs: [1, 2, 3, 4], targets: [1, 2, 3, 4, 5, 6, 7, 8], count: 4 };
    const parts = [...kFold(data, { folds: 2, shuffle: false })];
    expect(parts[0].validation).toEqual({ inputs: [1, 2], targets: [1, 2, 3, 4], count: 2 });
    expect(parts[0].train).toEqual({ inputs: [3, 4], targets: [5, 6, 7, 8], count: 2 });
  });

  it('does not stratify by numbers that are no classes', () => {
    const targets = Float32Array.from(LABELS);
    expect(validations(kFold(numbered(targets)))).toEqual(validations(kFold(numbered(LABELS), { stratified: false })));
    expect(validations(kFold(numbered(targets)))).not.toEqual(validations(kFold(numbered(LABELS))));
  });

  it('foldOf makes the same fold by itself', () => {
    const all = [...kFold(numbered(LABELS), { folds: 4 })];
    expect(foldOf(numbered(LABELS), 3, { folds: 4 })).toEqual(all[2]);
  });

  it('refuses at once what cannot be divided', () => {
    const data = numbered(LABELS);
    expect(errorOf(() => kFold(data, { folds: 1 }))).toEqual(failure('ERR_ARGUMENT', /of at least 2 for folds/));
    expect(errorOf(() => kFold(data, { folds: 24 }))).toEqual(failure('ERR_ARGUMENT', /at most 23.* folds/));
    expect(errorOf(() => kFold(data, { fold: 3 } as never))).toEqual(failure('ERR_ARGUMENT', /"fold"/));
    expect(errorOf(() => kFold(data, { shuffle: 1 } as never))).toEqual(failure('ERR_ARGUMENT', /shuffle/));
    expect(errorOf(() => kFold({ inputs: [1] } as never))).toEqual(failure('ERR_ARGUMENT', /inputs and targets/));
    expect(errorOf(() => kFold({ ...data, count: 22 }))).toEqual(
      failure('ERR_SHAPE', /each of 22 samples.*data.inputs/),
    );
    const values = { inputs: new Float32Array(4), targets: new Float32Array(4) };
    expect(errorOf(() => kFold(values))).toEqual(failure('ERR_ARGUMENT', /data\.count/));
    const stratified = { folds: 2, stratified: true };
    expect(errorOf(() => kFold({ ...values, count: 4 }, stratified))).toEqual(failure('ERR_ARGUMENT', /stratified/));
  });
});
