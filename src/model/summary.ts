import { sizeOf } from '../program/program.js';
import type { Stack, StackedLayer } from './stack.js';

/** A table of the layers, their output shapes and parameter counts, as Keras prints it. */
export function summarize(name: string, stack: Stack): string {
  const header = ['Layer', 'Output shape', 'Parameters'];
  const rows = stack.layers.map((layer) => [
    describe(layer),
    `[${layer.outputShape.join(', ')}]`,
    grouped(countOf(layer)),
  ]);
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column].length)));
  const line = ([layer, shape, count]: string[]) =>
    `${layer.padEnd(widths[0])}   ${shape.padEnd(widths[1])}   ${count.padStart(widths[2])}`;
  const rule = '-'.repeat(line(header).length);
  const total = stack.layers.reduce((sum, layer) => sum + countOf(layer), 0);
  return [
    `Model ${name}, input [${stack.inputShape.join(', ')}]`,
    rule,
    line(header),
    rule,
    ...rows.map(line),
    rule,
    `${grouped(total)} parameters, ${grouped(total * 4)} bytes`,
  ].join('\n');
}

function describe({ layer, index }: StackedLayer): string {
  const activation =
    layer.outputActivation && layer.outputActivation !== 'linear' ? ` (${layer.outputActivation})` : '';
  return index === null ? layer.type : `${index} ${layer.type}${activation}`;
}

function countOf({ parameters }: StackedLayer): number {
  return parameters.reduce((sum, { spec }) => sum + sizeOf(spec.shape), 0);
}

/** 101770 as 101,770, whatever the locale. */
function grouped(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ',');
}
