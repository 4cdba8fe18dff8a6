import { ACTIVATIONS, type Op, type OpName } from '../../src/program/ops.js';
import { RandomPurpose, RandomStream } from '../../src/random.js';
import { addImageCases } from './op-cases-images.js';
import { addLossCases } from './op-cases-losses.js';
import { addUpdateCases } from './op-cases-updates.js';
import {
  classes,
  type Fill,
  normal,
  type OpSetup,
  type OpSetupBuilder,
  positive,
  setUpOp,
  sparse,
  wide,
} from './op-harness.js';

/** One op with one set of options and shapes. Buffers are named after the op's fields. */
export interface OpCase {
  name: string;
  op: OpName;
  /** A fresh setup with the same values each time. */
  create(): OpSetup;
}

/** Every op with every option, on shapes around the tiles and lanes of vector kernels and those of MNIST. */
export const opCases: OpCase[] = [];

function add(op: OpName, options: string, rows: number, declare: (builder: OpSetupBuilder) => void): void {
  const seed = 1000 + opCases.length;
  opCases.push({ name: `${op} ${options} (seed ${seed})`, op, create: () => setUpOp(rows, seed, declare) });
}

/** [rows, inputs, units]. */
const DENSE_SHAPES = [
  [1, 1, 1],
  [3, 7, 17],
  [7, 3, 15],
  [17, 31, 33],
  [33, 16, 7],
  [16, 64, 16],
  [15, 17, 31],
  [2, 784, 128],
  [17, 128, 10],
] as const;
/** [rows, columns]. */
const ROW_SHAPES = [
  [1, 1],
  [3, 7],
  [7, 16],
  [17, 15],
  [2, 31],
  [5, 33],
  [31, 10],
  [3, 128],
] as const;

for (const kind of ['pixels', 'floats', 'classes', 'values'] as const) {
  for (const [rows, columns] of [...ROW_SHAPES, [3, 784]]) {
    add('gather', `${kind} [${rows}, ${columns}]`, rows, (builder) => gather(builder, kind, rows, columns));
  }
}

function gather(
  builder: OpSetupBuilder,
  kind: 'pixels' | 'floats' | 'classes' | 'values',
  rows: number,
  columns: number,
) {
  const count = rows + 3;
  const stream = new RandomStream(rows * 1000 + columns, RandomPurpose.augment);
  const bytes = (length: number, below: number) => Uint8Array.from({ length }, () => stream.below(below));
  const floats = (length: number) => Float32Array.from({ length }, () => normal(stream));
  const order = Uint32Array.from({ length: rows }, () => stream.below(count));
  const isInputs = kind === 'pixels' || kind === 'floats';
  const inputs = kind === 'floats' ? floats(count * columns) : bytes(count * columns, 256);
  const targets = kind === 'values' ? floats(count * columns) : bytes(count, 10);
  builder.data({ inputs, targets, count }, order);
  const output = kind === 'classes' ? builder.classes('output') : builder.batched('output', columns);
  builder.add({ op: 'gather', source: isInputs ? 'inputs' : 'targets', output });
}

for (const [m, k, n] of DENSE_SHAPES) {
  for (const [transposeA, transposeB] of [
    [false, false],
    [true, false],
    [false, true],
    [true, true],
  ]) {
    const flags = `${transposeA ? 'aᵀ' : 'a'}·${transposeB ? 'bᵀ' : 'b'}`;
    add('matmul', `${flags} [${m}, ${k}]·[${k}, ${n}]`, 1, (builder) => {
      const a = builder.fixed('a', transposeA ? [k, m] : [m, k], sparse);
      const b = builder.fixed('b', transposeB ? [n, k] : [k, n], normal);
      const output = builder.fixed('output', [m, n]);
      builder.add({ op: 'matmul', a, b, output, transposeA, transposeB });
    });
  }
}
add('matmul', 'of the samples of the step', 5, (builder) => {
  const a = builder.batched('a', 7, normal);
  const b = builder.fixed('b', [7, 9], normal);
  builder.add({ op: 'matmul', a, b, output: builder.batched('output', 9), transposeA: false, transposeB: false });
});
add('matmul', 'over the samples of the step', 5, (builder) => {
  const a = builder.batched('a', 7, normal);
  const b = builder.batched('b', 9, normal);
  builder.add({ op: 'matmul', a, b, output: builder.fixed('output', [7, 9]), transposeA: true, transposeB: false });
});

for (const [rows, inputs, units] of DENSE_SHAPES) {
  for (const activation of ACTIVATIONS.filter((name) => name !== 'gelu')) {
    for (const hasBias of activation === 'relu' ? [true, false] : [true]) {
      add('dense', `${activation}${hasBias ? '' : ' without bias'} [${rows}, ${inputs}, ${units}]`, rows, (builder) => {
        const input = builder.batched('input', inputs, sparse);
        const weights = builder.persistent('weights', 'parameter', [inputs, units], normal);
        const bias = hasBias ? builder.persistent('bias', 'parameter', [units], normal) : null;
        const output = builder.batched('output', units);
        builder.add({ op: 'dense', input, weights, bias, output, activation, negativeSlope: 0.2 });
      });
    }
  }
  for (const [hasWeights, hasBias, hasInput] of [
    [true, true, true],
    [true, true, false],
    [true, false, true],
    [true, false, false],
    [false, false, true],
  ]) {
    const wanted = `${hasWeights ? 'dWeights' : ''} ${hasBias ? 'dBias' : ''} ${hasInput ? 'dInput' : ''}`;
    add('denseBackward', `${wanted} [${rows}, ${inputs}, ${units}]`, rows, (builder) => {
      const input = builder.batched('input', inputs, sparse);
      const weights = builder.persistent('weights', 'parameter', [inputs, units], normal);
      const dOutput = builder.batched('dOutput', units, sparse);
      const dWeights = hasWeights ? builder.fixed('dWeights', [inputs, units]) : null;
      const dBias = hasBias ? builder.fixed('dBias', [units]) : null;
      const dInput = hasInput ? builder.batched('dInput', inputs) : null;
      builder.add({ op: 'denseBackward', input, weights, dOutput, dWeights, dBias, dInput, update: false });
    });
  }
}

/** Outputs of an activation lie where it can put them. */
const REFERENCE_FILLS: Record<(typeof ACTIVATIONS)[number], Fill> = {
  linear: normal,
  relu: (stream) => Math.max(0, normal(stream)),
  leakyRelu: normal,
  sigmoid: (stream) => stream.uniform(),
  tanh: (stream) => 2 * stream.uniform() - 1,
  gelu: wide,
};

for (const activation of ACTIVATIONS) {
  for (const [rows, columns] of [...ROW_SHAPES, [40, 64]]) {
    add('activation', `${activation} [${rows}, ${columns}]`, rows, (builder) => {
      const input = builder.batched('input', columns, wide);
      const output = builder.batched('output', columns);
      builder.add({ op: 'activation', input, output, activation, negativeSlope: 0.1 });
    });
    for (const inPlace of [false, true]) {
      const options = `${activation}${inPlace ? ' in place' : ''} [${rows}, ${columns}]`;
      add('activationBackward', options, rows, (builder) => {
        const reference = builder.batched('reference', columns, REFERENCE_FILLS[activation]);
        const dOutput = builder.batched('dOutput', columns, normal);
        const dInput = inPlace ? dOutput : builder.batched('dInput', columns);
        builder.add({ op: 'activationBackward', reference, dOutput, dInput, activation, negativeSlope: 0.1 });
      });
    }
  }
}

for (const [rows, columns] of ROW_SHAPES) {
  const logits: Fill = (stream) => Math.fround(4 * stream.normal());
  add('softmax', `[${rows}, ${columns}]`, rows, (builder) => {
    builder.add({
      op: 'softmax',
      input: builder.batched('input', columns, logits),
      output: builder.batched('output', columns),
    });
  });
  add('softmaxBackward', `[${rows}, ${columns}]`, rows, (builder) => {
    const output = builder.batched('output', columns, positive);
    const dOutput = builder.batched('dOutput', columns, normal);
    builder.add({ op: 'softmaxBackward', output, dOutput, dInput: builder.batched('dInput', columns) });
  });
  for (const labelSmoothing of [0, 0.1]) {
    for (const hasGradient of [true, false]) {
      const options = `smoothing ${labelSmoothing}${hasGradient ? '' : ' without gradient'}`;
      // The second has equal logits; the third targets that no class has.
      for (const [kind, fill, target] of [
        ['', logits, classes(columns)],
        [' ties', classes(3), classes(columns)],
        [' strays', logits, ((stream) => stream.below(columns + 2) - 1) satisfies Fill],
      ] as const) {
        add('softmaxCrossEntropy', `${options}${kind} [${rows}, ${columns}]`, rows, (builder) => {
          const op: Op = {
            op: 'softmaxCrossEntropy',
            logits: builder.batched('logits', columns, fill),
            targets: builder.classes('targets', target),
            dLogits: hasGradient ? builder.batched('dLogits', columns) : null,
            labelSmoothing,
          };
          builder.add(op);
        });
      }
    }
  }
}

addUpdateCases(add);
addImageCases(add);
addLossCases(add, ROW_SHAPES);
