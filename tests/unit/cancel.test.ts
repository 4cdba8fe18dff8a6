import { describe, expect, it } from 'vitest';
import {
  adam,
  batchNormalization,
  type CompileOptions,
  conv2d,
  dense,
  type Layer,
  maxPooling2d,
  type Sequential,
  sequential,
  sgd,
} from '../../src/index.js';
import { atOnce } from '../../src/pieces.js';
import { RandomPurpose, RandomStream } from '../../src/random.js';
import { nativeBackends, titleOf } from '../helpers/backends.js';
import { writeNow } from '../helpers/sessions.js';

/**
 * Steps that take long are ended in the middle, and undone. These have a billion multiply-adds or more: many times the
 * few milliseconds within which a signal is heard.
 */

interface Case {
  name: string;
  layers: () => Layer[];
  inputShape: number[];
  batchSize: number;
  /** One value in five is not zero: the samples become lists, and steps begin without a barrier. */
  sparse?: boolean;
  options?: Partial<CompileOptions>;
}

const CLASSES = 10;
const head = () => dense({ units: CLASSES, activation: 'softmax' });

const CASES: Case[] = [
  {
    name: 'dense layers, updates fused with gradients',
    layers: () => [dense({ units: 700, activation: 'relu' }), dense({ units: 512, activation: 'relu' }), head()],
    inputShape: [784],
    batchSize: 1024,
  },
  {
    name: 'dense layers on lists of what is not zero',
    layers: () => [dense({ units: 900, activation: 'relu' }), dense({ units: 500, activation: 'relu' }), head()],
    inputShape: [784],
    batchSize: 1024,
    sparse: true,
  },
  {
    name: 'averages of weights, clipping, momentum',
    layers: () => [dense({ units: 1000, activation: 'tanh' }), head()],
    inputShape: [784],
    batchSize: 1024,
    options: { optimizer: sgd({ learningRate: 0.01, momentum: 0.9, globalClipNorm: 1, useEma: true }) },
  },
  {
    name: 'convolutions',
    layers: () => [
      conv2d({ filters: 24, kernelSize: 5, activation: 'relu' }),
      maxPooling2d(),
      conv2d({ filters: 32, kernelSize: 3 }),
      batchNormalization(),
      head(),
    ],
    inputShape: [28, 28, 1],
    batchSize: 512,
  },
];

const STEPS = 3;

function samplesOf({ inputShape, batchSize, sparse }: Case) {
  const stream = new RandomStream(11, RandomPurpose.augment);
  const count = batchSize * STEPS;
  const size = inputShape.reduce((product, dimension) => product * dimension, 1);
  return {
    inputs: Float32Array.from({ length: count * size }, (_, place) =>
      sparse && place % 5 > 0 ? 0 : stream.uniform() + 0.01,
    ),
    targets: Uint8Array.from({ length: count }, () => stream.below(CLASSES)),
  };
}

describe.each(CASES)('$name', (each) => {
  const data = samplesOf(each);
  const { batchSize, inputShape } = each;

  it.each(
    // How a step is divided does not depend on the instruction set: one thread alone is tried with the fastest.
    nativeBackends().flatMap((backend, slower) =>
      (slower ? [2] : [1, 2]).map((threads) => ({
        title: `${titleOf(backend)}, ${threads} threads`,
        backend,
        threads,
      })),
    ),
  )('$title: a signal leaves the weights of a whole step, and the optimizer as well', async ({ backend, threads }) => {
    const make = (): Sequential => {
      const model = sequential(each.layers(), { inputShape, seed: 5, backend, threads });
      model.compile({ optimizer: adam({ learningRate: 1e-3 }), loss: 'categoricalCrossentropy', ...each.options });
      return model;
    };
    const reference = make();
    const hashes = [reference.weightsSha256()];
    const onTrainBatchEnd = () => void hashes.push(reference.weightsSha256());
    await reference.fit(data, { batchSize, shuffle: false, callbacks: [{ onTrainBatchEnd }] });
    expect(new Set(hashes).size).toBe(STEPS + 1);
    const model = make();
    let interrupted = 0;
    // As often as it takes, the fit begins again where it was left, a step at a time: batches are in their order.
    for (let delay = 1, step = 0; step < STEPS; delay += 5) {
      const signal = AbortSignal.timeout(delay);
      const part = (values: Float32Array | Uint8Array, width: number) =>
        values.subarray(step * batchSize * width, (step + 1) * batchSize * width);
      const one = {
        inputs: part(data.inputs, data.inputs.length / data.targets.length) as Float32Array,
        targets: part(data.targets, 1) as Uint8Array,
      };
      const history = await model.fit(one, { batchSize, shuffle: false, signal }).catch((error) => error.history);
      if (history.stopped === 'completed') step++;
      else interrupted++;
      expect(hashes[step]).toBe(model.weightsSha256());
    }
    expect(interrupted).toBeGreaterThan(1);
  });
});

it('an evaluation and a prediction of long portions end early too', async () => {
  const [backend] = nativeBackends();
  const data = samplesOf(CASES[0]);
  const model = sequential(CASES[0].layers(), { inputShape: [784], seed: 5, backend, threads: 1 });
  model.compile({ optimizer: adam(), loss: 'categoricalCrossentropy' });
  const wanted = await model.evaluate(data, { batchSize: 3072 });
  const controller = new AbortController();
  const running = [
    model.evaluate(data, { batchSize: 3072, signal: controller.signal }),
    model.predict(data.inputs, { signal: controller.signal }),
  ];
  setImmediate(() => controller.abort());
  await Promise.all(running.map((promise) => expect(promise).rejects.toThrow(/aborted/)));
  expect(await model.evaluate(data, { batchSize: 3072 })).toEqual(wanted);
  const { signal } = new AbortController();
  expect(await model.predict(data.inputs, { signal })).toEqual(await model.predict(data.inputs));
});

it.each([true, false])('predictions never see a step that was ended in the middle (undone: %s)', async (undo) => {
  const [backend] = nativeBackends();
  const data = samplesOf(CASES[0]);
  const { batchSize } = CASES[0];
  const model = sequential(CASES[0].layers(), { inputShape: [784], seed: 5, backend });
  model.compile({ optimizer: adam(), loss: 'categoricalCrossentropy' });
  const program = model.program({ batchSize });
  const session = backend.open(program, { threads: 1 });
  model.getWeights().forEach((values, index) => {
    writeNow(session, program.buffers.filter(({ role }) => role === 'parameter')[index].name, values);
  });
  const image = data.inputs.subarray(0, 784);
  const outputs = () => {
    const answer = new Float32Array(CLASSES);
    session.inferSync(image, answer);
    return answer;
  };
  const count = data.targets.length;
  const bound = atOnce(backend.bind({ ...data, count }));
  const order = Uint32Array.from({ length: batchSize }, (_, place) => place);
  const scalars = new Float32Array(program.scalars.length).fill(0.01);
  let torn = 0;
  // One step a run: where it is ended early, the weights published last are still those before it.
  for (let delay = 1; torn < 3 && delay < 40; delay++) {
    const signal = AbortSignal.timeout(delay);
    const before = outputs();
    const { steps } = await session.run('train', bound, order, { batchSize, scalars }, { signal, undo });
    if (steps === 1) expect(outputs()).not.toEqual(before);
    else {
      torn++;
      expect(outputs()).toEqual(before);
    }
  }
  expect(torn).toBe(3);
  session.dispose();
});
