import { MnistTrainError } from '../errors.js';
import { buffersOf } from './op-fields.js';
import type { BufferName, Op } from './ops.js';
import {
  type BufferRole,
  type BufferSpec,
  type ElementType,
  type Program,
  type Section,
  type SectionName,
  sizeOf,
} from './program.js';

/**
 * Collects buffers and operations into a Program. Layers, losses and optimizers append to it while a model is lowered.
 * Names are unique in the program; `add` checks that every buffer an op names exists.
 */
export class ProgramBuilder {
  readonly #buffers = new Map<BufferName, BufferSpec>();
  readonly #sections: Partial<Record<SectionName, Section & { ops: Op[] }>> = {};
  readonly #scalars: string[] = [];
  #current: SectionName | null = null;

  /** Starts a section; what follows goes there. `capacity` is the most samples in one step. */
  section(name: SectionName, capacity: number): this {
    if (this.#sections[name]) throw new MnistTrainError('ERR_STATE', `Section ${name} was already begun.`);
    this.#sections[name] = { capacity, ops: [], input: null, output: null };
    this.#current = name;
    return this;
  }

  get #open(): { name: SectionName; section: Section & { ops: Op[] } } {
    if (!this.#current) throw new MnistTrainError('ERR_STATE', 'Begin a section before adding to it.');
    return { name: this.#current, section: this.#sections[this.#current]! };
  }

  /** The capacity of the section being built. */
  get capacity(): number {
    return this.#open.section.capacity;
  }

  #declare(spec: BufferSpec): BufferName {
    if (this.#buffers.has(spec.name))
      throw new MnistTrainError('ERR_STATE', `Buffer ${spec.name} was already declared.`);
    if (sizeOf(spec.shape) < 1)
      throw new MnistTrainError('ERR_SHAPE', `Buffer ${spec.name} has no elements: [${spec.shape}].`);
    this.#buffers.set(spec.name, spec);
    return spec.name;
  }

  /** Declares a parameter or an optimizer's slot; declaring the same one again in another section is fine. */
  persistent(
    name: BufferName,
    role: 'parameter' | 'slot',
    shape: readonly number[],
    initial?: BufferSpec['initial'],
  ): BufferName {
    if (this.#buffers.get(name)?.role === role) return name;
    return this.#declare({ name, role, shape, type: 'float32', section: null, batched: false, initial });
  }

  /** Declares a buffer of one row per sample in the current section; its full name gets the section as a prefix. */
  batched(
    name: BufferName,
    shape: readonly number[],
    role: BufferRole = 'activation',
    type: ElementType = 'float32',
  ): BufferName {
    const {
      name: section,
      section: { capacity },
    } = this.#open;
    return this.#declare({
      name: `${section}/${name}`,
      role,
      shape: [capacity, ...shape],
      type,
      section,
      batched: true,
    });
  }

  /** Declares a buffer of fixed shape in the current section: a gradient, or an operand of a low-level kernel. */
  fixed(
    name: BufferName,
    shape: readonly number[],
    role: BufferRole = 'activation',
    type: ElementType = 'float32',
  ): BufferName {
    const { name: section } = this.#open;
    return this.#declare({ name: `${section}/${name}`, role, shape, type, section, batched: false });
  }

  /** Registers a value that the host supplies for every step, and returns its index. */
  scalar(name: string): number {
    return this.#scalars.push(name) - 1;
  }

  /** Appends an operation to the current section. */
  add(op: Op): void {
    for (const { name } of buffersOf(op)) {
      if (!this.#buffers.has(name))
        throw new MnistTrainError('ERR_STATE', `${op.op} names the unknown buffer ${name}.`);
    }
    this.#open.section.ops.push(op);
  }

  /** Names the buffers through which `infer` passes samples in and answers out. */
  endpoints(input: BufferName, output: BufferName): void {
    const { section } = this.#open;
    section.input = input;
    section.output = output;
  }

  shapeOf(name: BufferName): readonly number[] {
    const buffer = this.#buffers.get(name);
    if (!buffer) throw new MnistTrainError('ERR_STATE', `Unknown buffer ${name}.`);
    return buffer.shape;
  }

  typeOf(name: BufferName): ElementType {
    const buffer = this.#buffers.get(name);
    if (!buffer) throw new MnistTrainError('ERR_STATE', `Unknown buffer ${name}.`);
    return buffer.type;
  }

  build(): Program {
    return { buffers: [...this.#buffers.values()], sections: { ...this.#sections }, scalars: [...this.#scalars] };
  }
}
