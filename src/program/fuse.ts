import { fusePools } from './fuse-pools.js';
import { buffersOf, touches } from './op-fields.js';
import type { BufferName, DenseBackwardOp, Op } from './ops.js';
import type { BufferSpec, Program, Section, SectionName } from './program.js';

/**
 * Rewrites a program for speed without changing a bit of its results:
 *
 * - Gradients of dense layers are fed to the optimizer as they are computed (`update`), instead of going to memory. A
 *   layer that also passes a gradient on does that first, by itself: it needs the weights as they were.
 * - A 2 × 2 max-pool becomes part of the convolution before it: see fusePools.
 * - Samples that only dense layers read may be held as lists of their non-zeros (`sparse`).
 */
export function fuseProgram(program: Program): Program {
  const sections: Partial<Record<SectionName, Section>> = {};
  for (const [name, section] of Object.entries(program.sections) as [SectionName, Section][]) {
    const pooled = fusePools(section);
    sections[name] = { ...pooled, ops: fuseUpdates(pooled.ops) };
  }
  const fused = { ...program, sections };
  return { ...fused, buffers: stillUsed(program, fused).map((buffer) => markSparse(fused, buffer)) };
}

/** The buffers without those whose every use was fused away. */
function stillUsed(before: Program, after: Program): BufferSpec[] {
  const usedIn = ({ sections }: Program) =>
    new Set(Object.values(sections).flatMap(({ ops }) => ops.flatMap(buffersOf).map(({ name }) => name)));
  const [old, current] = [usedIn(before), usedIn(after)];
  return before.buffers.filter(({ name }) => current.has(name) || !old.has(name));
}

const OPTIMIZERS = ['sgd', 'adam', 'rmsprop', 'adagrad', 'lion'] as const;
type OptimizerOp = Extract<Op, { op: (typeof OPTIMIZERS)[number] }>;
const isOptimizer = (op: Op): op is OptimizerOp => (OPTIMIZERS as readonly string[]).includes(op.op);

function fuseUpdates(ops: readonly Op[]): Op[] {
  const updates = new Map(ops.filter(isOptimizer).map((op) => [op.gradient, op]));
  const moved = new Set<Op>();
  const fused: Op[] = [];
  for (const op of ops) {
    const updatesOfOp = op.op === 'denseBackward' ? updatesFor(op, ops, updates) : null;
    if (op.op === 'denseBackward' && updatesOfOp) {
      if (op.dInput) fused.push({ ...op, dWeights: null, dBias: null });
      fused.push({ ...op, dInput: null, update: true }, ...updatesOfOp);
      for (const update of updatesOfOp) moved.add(update);
    } else if (!moved.has(op)) {
      fused.push(op);
    }
  }
  return fused;
}

/** The updates that a denseBackward can feed, or null: its gradients must have no other reader. */
function updatesFor(
  op: DenseBackwardOp,
  ops: readonly Op[],
  updates: ReadonlyMap<BufferName, OptimizerOp>,
): OptimizerOp[] | null {
  const gradients = [op.dWeights, op.dBias].filter((name) => name !== null);
  const found = gradients.map((name) => updates.get(name));
  if (op.dWeights === null || !found.every((update) => update !== undefined)) return null;
  const onlyReader = (name: BufferName) => ops.filter((other) => touches(other, name)).length === 2;
  // Updating earlier than the program says is only right when nothing in between looks at the weights.
  const place = ops.indexOf(op);
  const untouched = (update: OptimizerOp) =>
    ops.slice(place + 1, ops.indexOf(update)).every((other) => !touches(other, update.parameter));
  return gradients.every(onlyReader) && found.every(untouched) ? found : null;
}

function markSparse(program: Program, buffer: BufferSpec): BufferSpec {
  const section = buffer.section && program.sections[buffer.section];
  if (!section || buffer.role !== 'input' || !buffer.batched || buffer.type !== 'float32') return buffer;
  const users = section.ops.filter((op) => touches(op, buffer.name));
  const isInput = (op: Op) =>
    op.op === 'gather' ||
    ((op.op === 'dense' || op.op === 'denseBackward') &&
      buffersOf(op).filter(({ name }) => name === buffer.name).length === 1 &&
      op.input === buffer.name);
  return users.some(({ op }) => op === 'dense') && users.every(isInput) && section.output !== buffer.name
    ? { ...buffer, sparse: true }
    : buffer;
}
