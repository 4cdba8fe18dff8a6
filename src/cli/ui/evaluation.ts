import type { ClassScores } from '../../index.js';
import type { EvaluationEvent } from '../events.js';
import { count, percent } from './format.js';
import { table } from './tables.js';

type ClassNames = readonly string[] | undefined;

/** A class a line, then the averages: precision, recall (the share of its samples that the model recognised) and F1. */
export function classTable({ perClass, averages }: Pick<EvaluationEvent, 'perClass' | 'averages'>, names: ClassNames) {
  const titles = ['images', 'right', 'precision', 'recall', 'F1'];
  return table(
    [{ title: 'class', align: 'left' }, ...titles.map((title) => ({ title }))],
    [
      ...perClass.map(({ label, count: images, correct, ...scores }) => [
        names?.[label] ?? String(label),
        count(images),
        count(correct),
        ...percentages(scores, images > 0),
      ]),
      ...Object.entries(averages).map(([name, scores]) => [`${name} average`, '', '', ...percentages(scores)]),
    ],
  );
}

const percentages = ({ precision, recall, f1 }: ClassScores, hasImages = true): string[] => [
  percent(precision),
  hasImages ? percent(recall) : '-',
  percent(f1),
];

/** A true class a row, what the model took it for in the columns, by index. Zeros are shown as dots. */
export function confusionTable(confusion: EvaluationEvent['confusion'], names: ClassNames): string {
  const name = (label: number) =>
    (names?.[label] ?? String(label)) === String(label) ? String(label) : `${label} ${names![label]}`;
  return table(
    [{ title: 'is \\ taken for', align: 'left' }, ...confusion.map((_, label) => ({ title: String(label) }))],
    confusion.map((row, label) => [name(label), ...row.map((value) => (value === 0 ? '·' : String(value)))]),
  );
}
