import { fieldsOf } from '../../program/op-fields.js';
import type { Op } from '../../program/ops.js';
import { type MemoryPlan, REGIONS } from '../../program/plan.js';
import type { Program, Section, SectionName } from '../../program/program.js';
import { bytes } from './format.js';
import { pairs } from './tables.js';

/** A lowered program as people read it: each section's operations with their buffers and shapes, then the memory. */
export function programListing(program: Program, plan: MemoryPlan): string {
  const sections = Object.entries(program.sections) as [SectionName, Section][];
  const memory = REGIONS.map((region) => [region, bytes(plan.sizes[region])] as const);
  return [
    ...sections.map(([name, section]) => sectionListing(program, name, section)),
    `Scalars of each step: ${program.scalars.join(', ') || 'none'}`,
    `Memory\n${pairs(memory)}`,
  ].join('\n\n');
}

function sectionListing(program: Program, name: SectionName, { capacity, ops }: Section): string {
  const shapes = new Map(program.buffers.map((buffer) => [buffer.name, `[${buffer.shape.join(', ')}]`]));
  const lines = ops.flatMap((op, step) => operationLines(op, step, shapes));
  return [`Section ${name}, up to ${capacity} samples a step`, ...lines].join('\n');
}

function operationLines(op: Op, step: number, shapes: ReadonlyMap<string, string>): string[] {
  const fields = fieldsOf(op).filter(({ value }) => value !== null);
  const values = fields.filter(({ kind }) => kind === 'value').map(({ name, value }) => `${name}=${value}`);
  const buffers = (['read', 'write', 'update'] as const).map((kind) => {
    const named = fields.filter((field) => field.kind === kind).map(({ value }) => String(value));
    return named.length > 0
      ? `       ${`${kind}s`.padEnd(7)}  ${named.map((n) => `${n} ${shapes.get(n)}`).join(', ')}`
      : '';
  });
  return [`  ${String(step).padStart(2)}  ${[op.op, ...values].join('  ')}`, ...buffers.filter(Boolean)];
}
