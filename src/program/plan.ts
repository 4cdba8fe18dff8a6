import { expected } from '../errors.js';
import { buffersOf } from './op-fields.js';
import type { BufferName } from './ops.js';
import { type BufferSpec, matrixOf, type Program, type SectionName, sizeOf } from './program.js';

/** Memory that is laid out by itself: what persists, and the working memory of each section. */
export const REGIONS = ['parameters', 'slots', 'train', 'evaluate', 'infer'] as const;
export type Region = (typeof REGIONS)[number];

export interface PlannedBuffer {
  spec: BufferSpec;
  index: number;
  region: Region;
  /** Bytes from the region's start; a multiple of 64. */
  offset: number;
  byteLength: number;
  rows: number;
  columns: number;
}

export interface MemoryPlan {
  buffers: ReadonlyMap<BufferName, PlannedBuffer>;
  /** Bytes of each region. */
  sizes: Readonly<Record<Region, number>>;
}

/** As in the addon. */
const MAX_REGION_BYTES = 2 ** 40;

const MEMORY_OF: Readonly<Record<Region, string>> = {
  parameters: 'the weights of the model',
  slots: "the optimizer's memory",
  train: 'the memory of a training step',
  evaluate: 'the memory of an evaluation step',
  infer: 'the memory of a prediction',
};

export const ALIGNMENT = 64;
const align = (bytes: number) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/**
 * Gives every buffer its place. Training keeps all of its activations apart (the backward pass reads them, and tests
 * read them afterwards); evaluation and inference reuse the space of activations that nobody reads any more. Throws
 * ERR_SHAPE for a model that no memory holds: a file of some hundred bytes can claim one.
 */
export function planMemory(program: Program): MemoryPlan {
  const buffers = new Map<BufferName, PlannedBuffer>();
  const sizes: Record<Region, number> = { parameters: 0, slots: 0, train: 0, evaluate: 0, infer: 0 };
  const place = (spec: BufferSpec, index: number, region: Region, offset: number) => {
    const byteLength = sizeOf(spec.shape) * 4;
    buffers.set(spec.name, { spec, index, region, offset, byteLength, ...matrixOf(spec) });
    sizes[region] = Math.max(sizes[region], align(offset + byteLength));
  };
  program.buffers.forEach((spec, index) => {
    if (spec.section === null) {
      const region = spec.role === 'parameter' ? 'parameters' : 'slots';
      place(spec, index, region, sizes[region]);
    } else if (spec.section === 'train') {
      place(spec, index, 'train', sizes.train);
    }
  });
  placeReusing(program, 'evaluate', place);
  placeReusing(program, 'infer', place);
  const region = REGIONS.find((name) => sizes[name] > MAX_REGION_BYTES);
  if (region) {
    const hint = 'Take smaller samples, layers or batches.';
    throw expected(`at most ${MAX_REGION_BYTES} bytes`, MEMORY_OF[region], sizes[region], hint, 'ERR_SHAPE');
  }
  return { buffers, sizes };
}

/** Greedy first fit by order of first use. A buffer lives from its first to its last op; the input from the start, the output to the end. */
function placeReusing(
  program: Program,
  name: SectionName & Region,
  place: (spec: BufferSpec, index: number, region: Region, offset: number) => void,
): void {
  const section = program.sections[name];
  if (!section) return;
  const life = new Map<BufferName, { first: number; last: number }>();
  section.ops.forEach((op, step) => {
    for (const { name: buffer } of buffersOf(op)) {
      const known = life.get(buffer);
      if (known) known.last = step;
      else life.set(buffer, { first: step, last: step });
    }
  });
  if (section.input) life.set(section.input, { first: -1, last: life.get(section.input)?.last ?? -1 });
  if (section.output)
    life.set(section.output, { first: life.get(section.output)?.first ?? -1, last: section.ops.length });

  const placed: { first: number; last: number; offset: number; end: number }[] = [];
  const specs = program.buffers.map((spec, index) => ({ spec, index })).filter(({ spec }) => spec.section === name);
  for (const { spec, index } of specs) {
    // A buffer that no op names still gets memory of its own, so that reading it is safe.
    const { first, last } = life.get(spec.name) ?? { first: -1, last: section.ops.length };
    const bytes = align(sizeOf(spec.shape) * 4);
    const alive = placed
      .filter((other) => other.first <= last && first <= other.last)
      .sort((a, b) => a.offset - b.offset);
    let offset = 0;
    for (const other of alive) {
      if (offset + bytes <= other.offset) break;
      offset = Math.max(offset, other.end);
    }
    placed.push({ first, last, offset, end: offset + bytes });
    place(spec, index, name, offset);
  }
}
