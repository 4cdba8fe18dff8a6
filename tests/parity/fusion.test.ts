import { describe, expect, it } from 'vitest';
import type { Backend, Samples } from '../../src/backends/backend.js';
import { atOnce } from '../../src/pieces.js';
import { ProgramBuilder } from '../../src/program/builder.js';
import { fuseProgram } from '../../src/program/fuse.js';
import type { Program } from '../../src/program/program.js';
import { RandomPurpose, RandomStream } from '../../src/random.js';
import { availableBackends, titleOf } from '../helpers/backends.js';
import { writeNow } from '../helpers/sessions.js';

const [INPUTS, HIDDEN, CLASSES, CAPACITY, COUNT] = [37, 65, 5, 8, 45];
const SHAPES: Record<string, number[]> = {
  '0.weight': [INPUTS, HIDDEN],
  '0.bias': [HIDDEN],
  '1.weight': [HIDDEN, CLASSES],
  '1.bias': [CLASSES],
};
const PARAMETERS = Object.keys(SHAPES);

type Rule = 'sgd' | 'momentum' | 'adam' | 'rmsprop' | 'adagrad' | 'lion';

/** Two dense layers with softmax cross-entropy, its evaluation and inference, as layers lower them before fusion. */
function makeProgram(optimizer: Rule): Program {
  const builder = new ProgramBuilder();
  for (const name of PARAMETERS) builder.persistent(name, 'parameter', SHAPES[name]);
  const layer = (input: string, index: number, output: string) =>
    builder.add({
      op: 'dense',
      input,
      weights: `${index}.weight`,
      bias: `${index}.bias`,
      output,
      activation: index === 0 ? 'relu' : 'linear',
      negativeSlope: 0,
    });
  const forward = (input: string) => {
    const hidden = builder.batched('hidden', [HIDDEN]);
    const logits = builder.batched('logits', [CLASSES]);
    layer(input, 0, hidden);
    layer(hidden, 1, logits);
    return { hidden, logits };
  };
  const gathered = () => {
    const input = builder.batched('inputs', [INPUTS], 'input');
    const targets = builder.batched('targets', [], 'target', 'int32');
    builder.add({ op: 'gather', source: 'inputs', output: input });
    builder.add({ op: 'gather', source: 'targets', output: targets });
    return { input, targets };
  };

  builder.section('train', CAPACITY);
  const { input, targets } = gathered();
  const { hidden, logits } = forward(input);
  const dLogits = builder.batched('dLogits', [CLASSES]);
  const dHidden = builder.batched('dHidden', [HIDDEN]);
  const gradients = Object.fromEntries(
    PARAMETERS.map((name) => [name, builder.fixed(`${name}.gradient`, SHAPES[name])]),
  );
  builder.add({ op: 'softmaxCrossEntropy', logits, targets, dLogits, labelSmoothing: 0.1 });
  const backward = (index: number, layerInput: string, dOutput: string, dInput: string | null) =>
    builder.add({
      op: 'denseBackward',
      input: layerInput,
      weights: `${index}.weight`,
      dOutput,
      dWeights: gradients[`${index}.weight`],
      dBias: gradients[`${index}.bias`],
      dInput,
      update: false,
    });
  backward(1, hidden, dLogits, dHidden);
  const derivative = {
    reference: hidden,
    dOutput: dHidden,
    dInput: dHidden,
    activation: 'relu',
    negativeSlope: 0,
  } as const;
  builder.add({ op: 'activationBackward', ...derivative });
  backward(0, input, dHidden, null);
  const scalars = ['learningRate', 'correction', 'decay'].map((name) => builder.scalar(name));
  for (const name of PARAMETERS) addUpdate(builder, optimizer, name, gradients[name], scalars);

  builder.section('evaluate', CAPACITY);
  const evaluated = gathered();
  const evaluation = forward(evaluated.input);
  const loss = { logits: evaluation.logits, targets: evaluated.targets, dLogits: null, labelSmoothing: 0 };
  builder.add({ op: 'softmaxCrossEntropy', ...loss });

  builder.section('infer', CAPACITY);
  const asked = builder.batched('inputs', [INPUTS], 'input');
  builder.endpoints(asked, forward(asked).logits);
  return builder.build();
}

/** The update of a parameter; every rule makes of the scalars what it can. */
function addUpdate(builder: ProgramBuilder, rule: Rule, parameter: string, gradient: string, scalars: number[]): void {
  const [rate, correction, decay] = scalars;
  const slot = (kind: string) => builder.persistent(`${parameter}.${kind}`, 'slot', SHAPES[parameter]);
  const common = { parameter, gradient, weightDecay: 1e-3 };
  if (rule === 'adam') {
    const moments = { firstMoment: slot('firstMoment'), secondMoment: slot('secondMoment') };
    const constants = { beta1: 0.9, beta2: 0.98, epsilon: 1e-7, stepSize: rate, correction, decay };
    builder.add({ op: 'adam', ...common, ...moments, ...constants });
  } else if (rule === 'rmsprop') {
    const slots = {
      meanSquare: slot('meanSquare'),
      meanGradient: slot('meanGradient'),
      velocity: slot('velocity'),
    };
    const constants = { learningRate: rate, alpha: 0.9, epsilon: 1e-7, momentum: 0.5 };
    builder.add({ op: 'rmsprop', ...common, ...slots, ...constants });
  } else if (rule === 'adagrad') {
    builder.add({ op: 'adagrad', ...common, sumOfSquares: slot('sumOfSquares'), rate, epsilon: 1e-7 });
  } else if (rule === 'lion') {
    const constants = { learningRate: rate, decay, beta1: 0.9, beta2: 0.99 };
    builder.add({ op: 'lion', parameter, gradient, momentum: slot('momentum'), ...constants });
  } else {
    const [velocity, momentum] = rule === 'momentum' ? [slot('velocity'), 0.9] : [null, 0];
    builder.add({ op: 'sgd', ...common, velocity, learningRate: rate, momentum, nesterov: momentum > 0 });
  }
}

/** Samples with a share of values that are not zero. */
function makeSamples(kind: 'pixels' | 'floats', density: number): Samples {
  const stream = new RandomStream(7, RandomPurpose.augment);
  const value = () => {
    if (stream.uniform() >= density) return 0;
    return kind === 'pixels' ? 1 + stream.below(255) : Math.fround(stream.normal());
  };
  const values = Array.from({ length: COUNT * INPUTS }, value);
  const inputs = kind === 'pixels' ? Uint8Array.from(values) : Float32Array.from(values);
  return { inputs, targets: Uint8Array.from({ length: COUNT }, () => stream.below(CLASSES)), count: COUNT };
}

/** Trains for a few epochs with a ragged last batch; everything that a caller can see of it. */
async function train(backend: Backend, program: Program, samples: Samples, threads?: number) {
  const session = backend.open(program, { threads });
  const data = atOnce(backend.bind(samples));
  try {
    const stream = new RandomStream(3, RandomPurpose.initialize);
    for (const name of PARAMETERS) {
      const size = SHAPES[name].reduce((a, b) => a * b);
      writeNow(
        session,
        name,
        Float32Array.from({ length: size }, () => 0.3 * stream.normal()),
      );
    }
    const order = Uint32Array.from({ length: 3 * COUNT - 1 }, (_, i) => (i * 7) % COUNT);
    const steps = Math.ceil(order.length / CAPACITY);
    const scalars = Float32Array.from({ length: steps * 3 }, (_, i) => [0.01, 1.5, 0.999][i % 3]);
    const { metrics } = await session.run('train', data, order, { batchSize: CAPACITY, scalars });
    const evaluated = await session.run('evaluate', data, order, { batchSize: CAPACITY, scalars });
    const persistent = program.buffers.filter(({ section }) => section === null);
    return {
      metrics,
      evaluation: evaluated.metrics,
      values: persistent.map(({ name }) => atOnce(session.read(name))),
      answers: await session.infer(samples.inputs),
    };
  } finally {
    data.dispose();
    session.dispose();
  }
}

describe('fuseProgram', () => {
  it('feeds gradients to the optimizer and lets samples be lists of their non-zeros', () => {
    const { sections, buffers } = fuseProgram(makeProgram('adam'));
    expect(sections.train!.ops.map(({ op }) => op)).toEqual([
      ...['gather', 'gather', 'dense', 'dense', 'softmaxCrossEntropy'],
      ...['denseBackward', 'denseBackward', 'adam', 'adam', 'activationBackward'],
      ...['denseBackward', 'adam', 'adam'],
    ]);
    const backward = sections.train!.ops.filter(({ op }) => op === 'denseBackward');
    expect(backward).toMatchObject([
      { weights: '1.weight', dWeights: null, dBias: null, dInput: 'train/dHidden', update: false },
      { weights: '1.weight', dInput: null, update: true },
      { weights: '0.weight', dInput: null, update: true },
    ]);
    const sparse = buffers.filter((buffer) => buffer.sparse).map(({ name }) => name);
    expect(sparse).toEqual(['train/inputs', 'evaluate/inputs', 'infer/inputs']);
  });

  it.each(['sgd', 'adam', 'rmsprop', 'adagrad', 'lion'] as const)('feeds gradients to %s', (rule) => {
    const ops = fuseProgram(makeProgram(rule)).sections.train!.ops.map(({ op }) => op);
    expect(ops.slice(5)).toEqual([
      'denseBackward',
      'denseBackward',
      rule,
      rule,
      'activationBackward',
      'denseBackward',
      rule,
      rule,
    ]);
  });

  it('leaves a gradient alone that somebody else reads, and inputs that other ops read', () => {
    const program = makeProgram('sgd');
    const train = program.sections.train!;
    const spy = { op: 'activation', activation: 'linear', negativeSlope: 0 } as const;
    const gradient = 'train/0.weight.gradient';
    const reading = { ...spy, input: gradient, output: gradient };
    const looking = { ...spy, input: 'train/inputs', output: 'train/inputs' };
    const fused = fuseProgram({
      ...program,
      sections: { ...program.sections, train: { ...train, ops: [...train.ops, reading, looking] } },
    });
    const updates = fused.sections.train!.ops.filter((op) => op.op === 'denseBackward' && op.update);
    expect(updates).toMatchObject([{ weights: '1.weight' }]);
    expect(fused.buffers.find(({ name }) => name === 'train/inputs')!.sparse).toBeUndefined();
  });
});

describe.each(availableBackends().map((backend) => [titleOf(backend), backend] as const))('%s', (_title, backend) => {
  it.each([
    ['sgd', 'pixels', 0.2],
    ['sgd', 'floats', 0.2],
    ['momentum', 'pixels', 0.2],
    ['momentum', 'floats', 1],
    ['adam', 'pixels', 0.2],
    ['adam', 'pixels', 1],
    ['adam', 'floats', 0.05],
    ['adam', 'pixels', 0],
    ['rmsprop', 'pixels', 0.2],
    ['rmsprop', 'floats', 1],
    ['adagrad', 'pixels', 0.2],
    ['adagrad', 'floats', 1],
    ['lion', 'pixels', 0.2],
    ['lion', 'floats', 1],
  ] as const)('has the same bits fused: %s, %s of density %d', async (optimizer, kind, density) => {
    const program = makeProgram(optimizer);
    const samples = makeSamples(kind, density);
    const wanted = await train(backend, program, samples, backend.name === 'js' ? undefined : 1);
    for (const threads of backend.name === 'js' ? [undefined] : [1, 2, 3]) {
      expect(await train(backend, fuseProgram(program), samples, threads)).toEqual(wanted);
    }
  });
});
