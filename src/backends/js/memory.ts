import { expected, MnistTrainError } from '../../errors.js';
import type { BufferName } from '../../program/ops.js';
import { type MemoryPlan, type PlannedBuffer, planMemory, REGIONS, type Region } from '../../program/plan.js';
import { type Program, type SectionName, sizeOf } from '../../program/program.js';
import type { FloatMatrix, IntegerMatrix, KernelContext } from './kernels/kernel.js';

/** The regions that a step changes and the next one reads. */
const STATE = ['parameters', 'slots'] as const satisfies readonly Region[];

/** Throws ERR_SHAPE where that is more than there is. */
function allocate(bytes: number): ArrayBuffer {
  try {
    return new ArrayBuffer(bytes);
  } catch (cause) {
    const message = 'There is not enough memory for the model. Take smaller samples, layers or batches.';
    throw new MnistTrainError('ERR_SHAPE', message, { cause });
  }
}

/**
 * The memory of one session: an ArrayBuffer per region, and a second copy of the parameters. Training changes the first
 * copy; evaluation and inference read the second, which `publish` brings up to date.
 */
export class Memory {
  readonly layout: MemoryPlan;
  readonly #sections: Program['sections'];
  readonly #regions: Readonly<Record<Region, ArrayBuffer>>;
  readonly #parameters: Uint8Array;
  readonly #published: Uint8Array;
  #kept: Uint8Array[] | null = null;

  constructor(program: Program) {
    this.layout = planMemory(program);
    this.#sections = program.sections;
    const { sizes } = this.layout;
    const regions = REGIONS.map((region) => [region, allocate(sizes[region])] as const);
    this.#regions = Object.fromEntries(regions) as Record<Region, ArrayBuffer>;
    this.#parameters = new Uint8Array(this.#regions.parameters);
    this.#published = new Uint8Array(allocate(sizes.parameters));
  }

  /** Makes the parameters as they are now visible to evaluation and inference. */
  publish(): void {
    this.#published.set(this.#parameters);
  }

  /** A parameter, a slot or a buffer of the train section, for reading and writing from outside. */
  outside(name: BufferName): Float32Array | Int32Array {
    const buffer = this.layout.buffers.get(name);
    if (!buffer || buffer.region === 'evaluate' || buffer.region === 'infer') {
      const hint = 'The working memory of evaluation and inference is shared between buffers and cannot be read.';
      throw expected('a parameter, a slot or a buffer of the train section', 'buffer', name, buffer ? hint : '');
    }
    return viewOf(buffer, this.#regions[buffer.region]);
  }

  /** Keeps a copy of what steps change, parameters and slots, for `restore`. */
  keep(): void {
    this.#kept ??= STATE.map((region) => new Uint8Array(this.#regions[region].byteLength));
    STATE.forEach((region, index) => {
      this.#kept![index].set(new Uint8Array(this.#regions[region]));
    });
  }

  /** Brings back what `keep` copied. */
  restore(): void {
    STATE.forEach((region, index) => {
      new Uint8Array(this.#regions[region]).set(this.#kept![index]);
    });
  }

  parametersAreFinite(): boolean {
    const values = new Float32Array(this.#regions.parameters);
    for (let index = 0; index < values.length; index++) if (values[index] * 0 !== 0) return false;
    return true;
  }

  /** A parameter as it was published last. */
  published(name: BufferName): Float32Array {
    return viewOf(this.layout.buffers.get(name)!, this.#published.buffer) as Float32Array;
  }

  /** How the kernels of a section find their buffers. */
  context(section: SectionName): KernelContext {
    const find = (name: BufferName): { buffer: PlannedBuffer; memory: ArrayBufferLike } => {
      const buffer = this.layout.buffers.get(name);
      if (!buffer) throw new MnistTrainError('ERR_ARGUMENT', `The program has no buffer ${name}.`);
      const published = section !== 'train' && buffer.region === 'parameters';
      return { buffer, memory: published ? this.#published.buffer : this.#regions[buffer.region] };
    };
    const matrix = <V extends Float32Array | Int32Array>(name: BufferName, type: 'float32' | 'int32') => {
      const { buffer, memory } = find(name);
      if (buffer.spec.type !== type) {
        throw expected(type, `the element type of buffer ${name}`, buffer.spec.type, '', 'ERR_SHAPE');
      }
      const { rows, columns } = buffer;
      return { name, values: viewOf(buffer, memory) as V, rows, columns, batched: buffer.spec.batched };
    };
    return {
      capacity: this.#sections[section]?.capacity ?? 0,
      float: (name): FloatMatrix => matrix<Float32Array>(name, 'float32'),
      integer: (name): IntegerMatrix => matrix<Int32Array>(name, 'int32'),
      isInteger: (name) => find(name).buffer.spec.type === 'int32',
    };
  }
}

function viewOf({ spec, offset }: PlannedBuffer, memory: ArrayBufferLike): Float32Array | Int32Array {
  const length = sizeOf(spec.shape);
  return spec.type === 'int32' ? new Int32Array(memory, offset, length) : new Float32Array(memory, offset, length);
}
