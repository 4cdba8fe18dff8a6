import type { Link } from '../layers/chain.js';
import type { BuiltShape, Layer } from '../layers/layer.js';
import { sizeOf } from '../program/program.js';
import type { Stack } from './stack.js';

interface Row {
  title: string;
  built: BuiltShape;
}

const HEADER = ['Layer', 'Output shape', 'Parameters', 'Multiply-adds'];

/**
 * A table of the layers as Keras prints it, with the multiplications with weights that one sample takes. Layers inside
 * another one stand before it, with what is theirs.
 */
export function summarize(name: string, stack: Stack): string {
  const rows = stack.layers.flatMap(rowsOf);
  const cells = rows.map(({ title, built }) => [
    title,
    `[${built.outputShape.join(', ')}]`,
    grouped(countOf(built)),
    grouped(built.multiplyAdds ?? 0),
  ]);
  const widths = HEADER.map((title, column) => Math.max(title.length, ...cells.map((row) => row[column].length)));
  const line = ([layer, shape, ...numbers]: string[]) =>
    [layer.padEnd(widths[0]), shape.padEnd(widths[1]), ...numbers.map((n, i) => n.padStart(widths[i + 2]))].join('   ');
  const rule = '-'.repeat(line(HEADER).length);
  return [
    `Model ${name}, input [${stack.inputShape.join(', ')}]`,
    rule,
    line(HEADER),
    rule,
    ...cells.map(line),
    rule,
    ...totals(rows),
  ].join('\n');
}

function totals(rows: readonly Row[]): string[] {
  const sum = (of: (built: BuiltShape) => number) => rows.reduce((total, { built }) => total + of(built), 0);
  const all = sum(countOf);
  const fixed = all - sum(countTrainable);
  const note = fixed > 0 ? `, ${grouped(fixed)} of them not trainable` : '';
  return [
    `${grouped(all)} parameters, ${grouped(all * 4)} bytes${note}`,
    `${grouped(sum(({ multiplyAdds }) => multiplyAdds ?? 0))} multiply-adds per sample`,
  ];
}

function rowsOf({ layer, index, built }: Link): Row[] {
  if (index === null) return [{ title: layer.type, built }];
  return nestedRows(String(index), layer, built);
}

function nestedRows(name: string, layer: Layer, built: BuiltShape): Row[] {
  if (!built.nested) return [{ title: titleOfLayer(name, layer), built }];
  const inner = built.nested.flatMap((each) => nestedRows(`${name}.${each.name}`, each.layer, each.built));
  return [...inner, { title: titleOfLayer(name, layer), built: { outputShape: built.outputShape, parameters: [] } }];
}

/** "0 dense (relu)". */
export function titleOfLayer(name: string, { type, outputActivation }: Layer): string {
  const shown = outputActivation && outputActivation !== 'linear' && outputActivation !== type;
  return `${name} ${type}${shown ? ` (${outputActivation})` : ''}`;
}

function countOf({ parameters }: BuiltShape): number {
  return parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
}

function countTrainable({ parameters }: BuiltShape): number {
  return parameters.reduce((sum, { shape, trainable }) => sum + (trainable ? sizeOf(shape) : 0), 0);
}

/** 101770 as 101,770, whatever the locale. */
function grouped(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ',');
}
