import type { EvaluationEvent } from '../events.js';
import { count, percent } from './format.js';
import { table } from './tables.js';

type ClassNames = readonly string[] | undefined;

/** Accuracy per class, a class a line: the share of its samples that the model recognised. */
export function classTable(perClass: EvaluationEvent['perClass'], names: ClassNames): string {
  return table(
    [{ title: 'class', align: 'left' }, { title: 'images' }, { title: 'right' }, { title: 'accuracy' }],
    perClass.map(({ label, count: images, correct, accuracy }) => [
      names?.[label] ?? String(label),
      count(images),
      count(correct),
      accuracy === null ? '-' : percent(accuracy),
    ]),
  );
}

/** A true class a row, what the model took it for in the columns, by index. Zeros are shown as dots. */
export function confusionTable(confusion: EvaluationEvent['confusion'], names: ClassNames): string {
  const name = (label: number) =>
    (names?.[label] ?? String(label)) === String(label) ? String(label) : `${label} ${names![label]}`;
  return table(
    [{ title: 'is \\ taken for', align: 'left' }, ...confusion.map((_, label) => ({ title: String(label) }))],
    confusion.map((row, label) => [name(label), ...row.map((value) => (value === 0 ? '·' : String(value)))]),
  );
}
