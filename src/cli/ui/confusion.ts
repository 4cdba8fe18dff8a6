import { plural } from './format.js';
import type { Style } from './style.js';

/** What a model takes a sample of images for. */
export interface Confusion {
  /** counts[label][answer] */
  counts: readonly (readonly number[])[];
  /** Which images these are: "validation", "training". */
  kind: string;
  names: readonly string[] | undefined;
}

/** More classes than digits are too many for a map. */
const MOST_CLASSES = 10;

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
const total = ({ counts }: Confusion) => sum(counts.map(sum));

/** A true class a row, answers in the columns, by index; null for too many classes. Zeros are dots. */
export function confusionMap(confusion: Confusion, style: Style): { lines: string[]; columns: number } | null {
  const { counts, kind } = confusion;
  if (counts.length > MOST_CLASSES) return null;
  const width = Math.max(2, ...counts.flat().map((count) => String(count).length)) + 1;
  const cell = (count: number, label: number, answer: number) => {
    const text = (count === 0 ? '·' : String(count)).padStart(width);
    if (label === answer) return style.good(text);
    return count === 0 ? style.faint(text) : style.strong(text);
  };
  const lines = [
    `of ${plural(total(confusion), `${kind} image`)}: is \\ taken for`,
    `  ${counts.map((_, answer) => String(answer).padStart(width)).join('')}`,
    ...counts.map((row, label) => `${label} ${row.map((count, answer) => cell(count, label, answer)).join('')}`),
  ];
  return { lines, columns: Math.max(lines[0].length, 2 + width * counts.length) };
}

/** The most frequent confusions in one line: "of 1,000 validation images 37 wrong: 4 taken for 9 (12), 7 for 2 (8)". */
export function confusionLine(confusion: Confusion, columns: number): string {
  const { counts, kind, names } = confusion;
  const name = (label: number) => names?.[label] ?? String(label);
  const pairs = counts
    .flatMap((row, label) => row.map((count, answer) => ({ label, answer, count })))
    .filter(({ label, answer, count }) => label !== answer && count > 0)
    .sort((a, b) => b.count - a.count);
  let line = `of ${plural(total(confusion), `${kind} image`)} ${sum(pairs.map(({ count }) => count))} wrong`;
  for (const [index, { label, answer, count }] of pairs.entries()) {
    const next = `${index === 0 ? ': ' : ', '}${name(label)} ${index === 0 ? 'taken ' : ''}for ${name(answer)} (${count})`;
    if (line.length + next.length > columns) break;
    line += next;
  }
  return line;
}
