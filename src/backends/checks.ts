import { checkInteger, expected, MnistTrainError } from '../errors.js';
import type { BufferName } from '../program/ops.js';
import type { MemoryPlan, PlannedBuffer } from '../program/plan.js';
import type { Program, Section, SectionName } from '../program/program.js';
import type { Samples, StepPlan } from './backend.js';

/**
 * The checks that every backend makes before a run's first step, so that the same mistake gets the same message
 * everywhere. Inside a run nothing is checked.
 */

/** What a backend remembers of bound samples. */
export interface BoundShape {
  readonly count: number;
  /** Values per sample. */
  readonly inputColumns: number;
  readonly targetColumns: number;
  /** True for class indices, false for float targets. */
  readonly hasClasses: boolean;
}

/** Checks samples before they are bound. Throws ERR_ARGUMENT and ERR_SHAPE. */
export function checkSamples(samples: Samples): Samples {
  const { inputs, targets, count } = samples;
  checkInteger(count, 'count', 1, 0xffff_ffff);
  if (!(inputs instanceof Uint8Array || inputs instanceof Float32Array)) {
    throw expected('a Uint8Array of pixels or a Float32Array', 'inputs', inputs);
  }
  if (!(targets instanceof Uint8Array || targets instanceof Int32Array || targets instanceof Float32Array)) {
    throw expected('a Uint8Array or Int32Array of class indices, or a Float32Array,', 'targets', targets);
  }
  if (inputs.length === 0 || inputs.length % count !== 0) {
    throw expected(`a multiple of ${count} values, the same number per sample,`, 'inputs', inputs, '', 'ERR_SHAPE');
  }
  const perSample = targets instanceof Float32Array ? targets.length % count === 0 : targets.length === count;
  if (targets.length === 0 || !perSample) {
    const what = targets instanceof Float32Array ? `a multiple of ${count} values` : `${count} class indices`;
    throw expected(what, 'targets', targets, '', 'ERR_SHAPE');
  }
  return samples;
}

/** The place of a parameter. Throws ERR_ARGUMENT for other buffers. */
export function checkParameter(layout: MemoryPlan, name: BufferName): PlannedBuffer {
  const buffer = layout.buffers.get(name);
  if (buffer?.region !== 'parameters') throw expected('a parameter', 'buffer', name);
  return buffer;
}

/** The section of a run, or ERR_ARGUMENT. */
function sectionOf(program: Program, name: SectionName & ('train' | 'evaluate')): Section {
  const section = program.sections[name];
  if (!section || (name as SectionName) === 'infer') {
    throw expected('train or evaluate, and a section of the program,', 'section', name);
  }
  return section;
}

/**
 * Checks a run's arguments and returns its number of steps. `data` is null when the caller bound none.
 *
 * @throws MnistTrainError ERR_ARGUMENT for wrong types, indices and numbers; ERR_SHAPE where sizes do not fit.
 */
export function checkRunArguments(
  program: Program,
  layout: MemoryPlan,
  name: SectionName & ('train' | 'evaluate'),
  data: BoundShape | null,
  order: Uint32Array,
  plan: StepPlan,
): number {
  const section = sectionOf(program, name);
  if (!(order instanceof Uint32Array)) throw expected('a Uint32Array of sample indices', 'order', order);
  if (!(plan.scalars instanceof Float32Array)) throw expected('a Float32Array', 'scalars', plan.scalars);
  const batchSize = checkInteger(plan.batchSize, `batchSize of the ${name} section`, 1, section.capacity);
  checkInteger(plan.firstIndex ?? 0, 'firstIndex', 0, 0xffff_ffff);
  const steps = Math.ceil(order.length / batchSize);
  const perStep = program.scalars.length;
  if (plan.scalars.length !== steps * perStep) {
    const what = `${steps * perStep} values (${steps} steps of ${perStep})`;
    throw expected(what, 'scalars', plan.scalars, '', 'ERR_SHAPE');
  }
  checkGathers(section, layout, data);
  if (data) checkOrder(order, data.count);
  return steps;
}

/** A plain loop: it looks at every index of every epoch, and a callback for each would take a millisecond for MNIST. */
function checkOrder(order: Uint32Array, count: number): void {
  for (let place = 0; place < order.length; place++) {
    if (order[place] < count) continue;
    throw expected(`indices from 0 to ${count - 1}`, 'order', order[place], 'They count the bound samples.');
  }
}

function checkGathers(section: Section, layout: MemoryPlan, data: BoundShape | null): void {
  for (const op of section.ops) {
    if (op.op !== 'gather') continue;
    if (!data) throw expected('bound data', 'data', null, 'The section gathers samples: pass what bind() returned.');
    const { columns, spec } = layout.buffers.get(op.output)!;
    const received = op.source === 'inputs' ? data.inputColumns : data.targetColumns;
    if (columns !== received) {
      const what = `${columns} values per sample, as buffer ${op.output} has,`;
      throw expected(what, `the bound ${op.source}`, received, '', 'ERR_SHAPE');
    }
    const wantsClasses = spec.type === 'int32';
    if (op.source === 'targets' && wantsClasses !== data.hasClasses) {
      const [what, found] = wantsClasses ? ['class indices', 'floats'] : ['a Float32Array', 'class indices'];
      throw new MnistTrainError(
        'ERR_ARGUMENT',
        `Expected ${what} for the bound targets, received ${found}. Bind targets that suit the loss of the program.`,
      );
    }
  }
}

/** Checks the samples of an inference and returns how many there are. Throws ERR_ARGUMENT, ERR_SHAPE, ERR_STATE. */
export function checkInference(program: Program, layout: MemoryPlan, inputs: Uint8Array | Float32Array): number {
  const section = program.sections.infer;
  if (!section?.input || !section.output) {
    throw new MnistTrainError('ERR_STATE', 'The program has no infer section with an input and an output.');
  }
  if (!(inputs instanceof Uint8Array || inputs instanceof Float32Array)) {
    throw expected('a Uint8Array of pixels or a Float32Array', 'inputs', inputs);
  }
  const { columns } = layout.buffers.get(section.input)!;
  if (inputs.length % columns !== 0) {
    throw expected(`a multiple of ${columns} values, a sample each,`, 'inputs', inputs.length, '', 'ERR_SHAPE');
  }
  return inputs.length / columns;
}

/** Checks the array that takes the answers of `samples` samples. */
export function checkOutputs(program: Program, layout: MemoryPlan, outputs: Float32Array, samples: number): void {
  if (!(outputs instanceof Float32Array)) throw expected('a Float32Array', 'outputs', outputs);
  const { columns } = layout.buffers.get(program.sections.infer!.output!)!;
  if (outputs.length !== samples * columns) {
    const what = `${samples * columns} values (${samples} samples of ${columns})`;
    throw expected(what, 'outputs', outputs.length, '', 'ERR_SHAPE');
  }
}
