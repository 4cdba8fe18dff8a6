import { MnistTrainError } from '../../errors.js';
import { fieldsOf, type OpField } from '../../program/op-fields.js';
import { ACTIVATIONS, type Op } from '../../program/ops.js';
import { type MemoryPlan, REGIONS } from '../../program/plan.js';
import type { Program, SectionName } from '../../program/program.js';

/** Version of the encoding; `native/engine/program.cc` accepts no other. */
const FORMAT_VERSION = 2;
export const SECTION_NAMES: readonly SectionName[] = ['train', 'evaluate', 'infer'];
const NO_BUFFER = -1;
const WORDS: readonly string[] = [...ACTIVATIONS];
const SOURCES: readonly string[] = ['inputs', 'targets'];

/**
 * Writes a program and its memory plan as the flat list of float64 words that the addon reads: version, region sizes,
 * scalars per step, buffers, sections with their ops. Float64 holds every size and every hyperparameter exactly.
 */
export function encodeProgram(program: Program, plan: MemoryPlan, operations: readonly string[]): Float64Array {
  const words: number[] = [FORMAT_VERSION, ...REGIONS.map((region) => plan.sizes[region]), program.scalars.length];

  const planned = [...plan.buffers.values()].sort((a, b) => a.index - b.index);
  words.push(planned.length);
  for (const { spec, region, offset, rows, columns } of planned) {
    const flags = [spec.batched ? 1 : 0, spec.sparse ? 1 : 0];
    words.push(REGIONS.indexOf(region), spec.type === 'int32' ? 1 : 0, offset, rows, columns, ...flags);
  }

  const indexOf = (name: string | null) => (name === null ? NO_BUFFER : plan.buffers.get(name)!.index);
  const sections = SECTION_NAMES.filter((name) => program.sections[name]);
  words.push(sections.length);
  for (const name of sections) {
    const { capacity, input, output, ops } = program.sections[name]!;
    words.push(SECTION_NAMES.indexOf(name), capacity, indexOf(input), indexOf(output), ops.length);
    for (const op of ops) {
      words.push(operationCode(op, operations));
      for (const field of fieldsOf(op)) {
        words.push(field.kind === 'value' ? valueWord(op, field) : indexOf(field.value as string | null));
      }
    }
  }
  return Float64Array.from(words);
}

function operationCode(op: Op, operations: readonly string[]): number {
  const code = operations.indexOf(op.op);
  if (code < 0) {
    throw new MnistTrainError('ERR_NATIVE_LOAD', `The addon has no kernel for ${op.op}. Build it anew: npm run build.`);
  }
  return code;
}

function valueWord(op: Op, { name, value }: OpField): number {
  if (typeof value === 'number') return value;
  if (typeof value === 'boolean') return value ? 1 : 0;
  const code = (op.op === 'gather' ? SOURCES : WORDS).indexOf(String(value));
  if (code < 0) throw new MnistTrainError('ERR_ARGUMENT', `${op.op} has an unknown ${name}: ${value}.`);
  return code;
}
