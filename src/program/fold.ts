import { touches } from './op-fields.js';
import type { BufferName, Op, OpOf } from './ops.js';
import { type BufferSpec, type Program, type Section, type SectionName, sizeOf } from './program.js';

type Weighted = OpOf<'dense'> | OpOf<'conv2d'>;

/**
 * Makes evaluation and inference shorter where layers stand one behind the other and nobody else reads what is between:
 *
 * - A batchNorm by moving statistics becomes part of the dense or conv2d before it, whose weights and bias are folded
 *   anew in each step: little work beside the layer's own, and always right. That rounds differently from the two ops.
 * - An activation behind one becomes the op's own, without changing a bit.
 *
 * Training keeps all ops: its backward pass reads what is between them.
 */
export function foldLayers(program: Program): Program {
  const buffers = new Map(program.buffers.map((buffer) => [buffer.name, buffer]));
  const sections: Partial<Record<SectionName, Section>> = { ...program.sections };
  for (const name of ['evaluate', 'infer'] as const) {
    const section = program.sections[name];
    if (section) sections[name] = new Folding(name, section, buffers).fold();
  }
  return { ...program, sections, buffers: [...buffers.values()] };
}

class Folding {
  readonly #name: SectionName;
  readonly #section: Section;
  readonly #buffers: Map<BufferName, BufferSpec>;
  readonly #ops: Op[];

  constructor(name: SectionName, section: Section, buffers: Map<BufferName, BufferSpec>) {
    this.#name = name;
    this.#section = section;
    this.#buffers = buffers;
    this.#ops = [...section.ops];
  }

  fold(): Section {
    for (const op of this.#section.ops) {
      if (op.op === 'batchNorm') this.#foldBatchNorm(op);
      else if (op.op === 'activation') this.#foldActivation(op);
    }
    return { ...this.#section, ops: this.#ops };
  }

  #foldBatchNorm(op: OpOf<'batchNorm'>): void {
    const layer = this.#onlySource(op.input);
    const { mean, variance, gamma, beta, epsilon } = op;
    if (!layer || this.#buffers.get(mean)?.role !== 'parameter') return;
    const { weights, bias } = layer;
    const { shape } = this.#buffers.get(weights)!;
    const columns = shape.at(-1)!;
    // Behind a flattened image a channel of the batchNorm is not one of the convolution.
    if (sizeOf(this.#buffers.get(mean)!.shape) !== columns) return;
    const foldedWeights = this.#declare(`${weights}.folded`, shape);
    const foldedBias = this.#declare(`${weights}.foldedBias`, [columns]);
    const folded = { weights, bias, mean, variance, gamma, beta, foldedWeights, foldedBias, epsilon };
    this.#replace(layer, op, [
      { op: 'foldBatchNorm', ...folded },
      { ...layer, weights: foldedWeights, bias: foldedBias, output: op.output },
    ]);
  }

  #foldActivation(op: OpOf<'activation'>): void {
    const layer = this.#onlySource(op.input);
    if (!layer || op.activation === 'gelu') return;
    const { activation, negativeSlope, output } = op;
    this.#replace(layer, op, [{ ...layer, activation, negativeSlope, output }]);
  }

  /** The layer without activation that writes a buffer which only one op reads. */
  #onlySource(buffer: BufferName): Weighted | null {
    if (buffer === this.#section.output) return null;
    const users = this.#ops.filter((op) => touches(op, buffer));
    const [source] = users;
    if (users.length !== 2 || (source.op !== 'dense' && source.op !== 'conv2d')) return null;
    return source.output === buffer && source.activation === 'linear' ? source : null;
  }

  #declare(name: string, shape: readonly number[]): BufferName {
    const section = this.#name;
    const full = `${section}/${name}`;
    this.#buffers.set(full, { name: full, role: 'activation', shape, type: 'float32', section, batched: false });
    return full;
  }

  /** Puts `ops` in the place of a layer, and takes out what they do as well. */
  #replace(layer: Weighted, other: Op, ops: readonly Op[]): void {
    this.#buffers.delete(layer.output);
    this.#ops.splice(this.#ops.indexOf(layer), 1, ...ops);
    this.#ops.splice(this.#ops.indexOf(other), 1);
  }
}
