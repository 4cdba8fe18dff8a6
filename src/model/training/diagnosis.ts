import { buffersOf } from '../../program/op-fields.js';
import type { BufferName } from '../../program/ops.js';
import type { Engine } from '../engine.js';
import type { Stack } from '../stack.js';

/** Looks at what the last training step left in memory, to say in words where it went wrong. */

const SECTION = 'train/';

/** Where the first numbers that are not finite stand in the last step, in the order of its operations; null for none. */
export function firstNonFinite(engine: Engine, stack: Stack): string | null {
  for (const { name, values } of forwardBuffers(engine)) {
    if (values.some((value) => !Number.isFinite(value))) return placeOf(name, stack);
  }
  return null;
}

/** Layers before the last whose every output is zero in the last step: nothing passes them, forward or back. */
export function silentLayers(engine: Engine, stack: Stack): string[] {
  const outputs = [...forwardBuffers(engine)].filter(({ name }) => name.endsWith('.output')).slice(0, -1);
  return outputs.filter(({ values }) => values.every((value) => value === 0)).map(({ name }) => placeOf(name, stack));
}

/** The layer that a parameter or another buffer belongs to, in words. */
export function placeOf(buffer: BufferName, { layers }: Stack): string {
  const name = buffer.startsWith(SECTION) ? buffer.slice(SECTION.length) : buffer;
  const index = Number.parseInt(name, 10);
  const link = layers.find((each) => each.index === index);
  if (link) return `layer ${index} (${link.layer.type})`;
  return name.startsWith('inputs') ? 'the inputs' : 'the loss';
}

/** What the last step computed up to the loss, in order. A sample list has no numbers to look at: data are checked before. */
function* forwardBuffers(engine: Engine): Generator<{ name: BufferName; values: Float32Array }> {
  const trained = engine.trained;
  const ops = trained?.program.sections.train?.ops ?? [];
  const kinds = new Map(trained?.program.buffers.map((spec) => [spec.name, spec]));
  for (const op of ops) {
    if (op.op.endsWith('Backward')) return;
    for (const { name, writes } of buffersOf(op)) {
      const spec = kinds.get(name);
      if (!writes || spec?.section !== 'train' || spec.sparse || spec.type !== 'float32') continue;
      yield { name, values: trained!.read(name) };
    }
  }
}
