import { describe, expect, it } from 'vitest';
import { createJsBackend } from '../../src/backends/js/backend.js';
import {
  activation,
  adam,
  batchNormalization,
  conv2d,
  dense,
  flatten,
  globalAveragePooling2d,
  residual,
  sequential,
} from '../../src/index.js';
import { layerFromConfig } from '../../src/layers/from-config.js';
import { ProgramBuilder } from '../../src/program/builder.js';
import { foldLayers } from '../../src/program/fold.js';
import type { Program } from '../../src/program/program.js';
import { RandomPurpose, RandomStream } from '../../src/random.js';
import { namesOf, only, opsOf } from '../helpers/lowering.js';
import { writeNow } from '../helpers/sessions.js';
import { backend, errorOf, failure, separable } from '../helpers/toy.js';

const U = 2 ** -24;

describe('batchNormalization', () => {
  it('has gamma and beta, each on request, and moving statistics that are not trainable', () => {
    const names = (options: object) =>
      batchNormalization(options)
        .build([4, 4, 3])
        .parameters.map(({ name, shape, initializer, trainable }) => [name, ...shape, initializer, trainable]);
    const moving = [
      ['running_mean', 3, 'zeros', false],
      ['running_var', 3, 'ones', false],
    ];
    expect(names({})).toEqual([['weight', 3, 'ones', true], ['bias', 3, 'zeros', true], ...moving]);
    expect(names({ scale: false })).toEqual([['bias', 3, 'zeros', true], ...moving]);
    expect(names({ center: false })).toEqual([['weight', 3, 'ones', true], ...moving]);
    expect(names({ center: false, scale: false })).toEqual(moving);
  });

  it.each([
    [{ momentum: 1.5 }, /for momentum, received 1\.5/],
    [{ epsilon: 0 }, /for epsilon, received 0/],
    [{ center: 1 }, /true or false for center/],
    [{ scale: 'yes' }, /true or false for scale/],
    [{ axis: 3 }, /"axis"/],
  ])('refuses %j', (options, message) => {
    expect(errorOf(() => batchNormalization(options as never))).toEqual(failure('ERR_ARGUMENT', message));
  });

  it('survives in the configuration', () => {
    const { config } = batchNormalization({ momentum: 0.5, epsilon: 1e-5, center: false });
    expect(config).toEqual({
      type: 'batchNormalization',
      momentum: 0.5,
      epsilon: 1e-5,
      center: false,
      scale: true,
    });
    expect(layerFromConfig(JSON.parse(JSON.stringify(config))).config).toEqual(config);
  });

  it('a model of moving statistics alone has no weights', () => {
    const alone = batchNormalization({ center: false, scale: false });
    const refused = failure('ERR_ARGUMENT', /at least one layer with weights/);
    expect(errorOf(() => sequential([alone], { inputShape: [4] }))).toEqual(refused);
  });
});

describe('in training', () => {
  it('takes the statistics of the batch, and its sums before the gradient of its input', () => {
    const layers = [conv2d({ filters: 3, kernelSize: 3 }), batchNormalization(), dense({ units: 2 })];
    const { train, program } = opsOf(layers, [5, 5, 1]);
    expect(namesOf(train).slice(2, 7)).toEqual([
      'conv2d',
      'channelMoments',
      'batchNormStatistics',
      'batchNorm',
      'dense',
    ]);
    const backward = namesOf(train).slice(namesOf(train).indexOf('batchNormSums'));
    expect(backward).toEqual([
      'batchNormSums',
      'sumParts',
      'sumParts',
      'batchNormBackward',
      'conv2dBackward',
      'sumParts',
      'sumParts',
      'sgd',
      'sgd',
      'sgd',
      'sgd',
    ]);
    expect(only(train, 'batchNorm')[0]).toMatchObject({ mean: 'train/1.mean', variance: 'train/1.variance' });
    expect(only(train, 'batchNormStatistics')[0]).toMatchObject({
      movingMean: '1.running_mean',
      movingVariance: '1.running_var',
      positions: 9,
      momentum: 0.99,
    });
    expect(program.buffers.find(({ name }) => name === 'train/1.moments')!.shape).toEqual([2, 2, 3]);
    const updated = only(train, 'sgd').map(({ parameter }) => parameter);
    expect(updated.toSorted()).toEqual(['0.bias', '0.weight', '1.bias', '1.weight', '2.bias', '2.weight']);
  });

  it('sums for the gradient of the input also without gamma and beta, and not at all before all weights', () => {
    const bare = batchNormalization({ center: false, scale: false });
    const first = opsOf([bare, dense({ units: 2 })], [4]).train;
    expect(namesOf(first)).not.toContain('batchNormSums');
    const { train } = opsOf([dense({ units: 3 }), bare, dense({ units: 2 })], [4]);
    expect(only(train, 'batchNormBackward')[0]).toMatchObject({
      gamma: null,
      dGamma: 'train/1.weight.gradient',
      dBeta: 'train/1.bias.gradient',
    });
    const front = opsOf([batchNormalization(), dense({ units: 2 })], [4]).train;
    expect(namesOf(front)).toContain('batchNormSums');
    expect(namesOf(front)).not.toContain('batchNormBackward');
  });

  it('moving statistics follow the batches', async () => {
    const momentum = 0.75;
    const model = sequential([batchNormalization({ momentum }), dense({ units: 3 })], { inputShape: [4], backend });
    model.compile({ optimizer: 'sgd', loss: 'categoricalCrossentropy' });
    const data = separable(20);
    await model.fit(data, { batchSize: 20 });
    const [, , means, variances] = model.getWeights();
    for (let c = 0; c < 4; c++) {
      const values = Array.from({ length: 20 }, (_, sample) => data.inputs[sample * 4 + c] / 255);
      const mean = values.reduce((sum, value) => sum + value, 0) / 20;
      const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 20;
      // Twenty values up to 1, each sum with one rounding a term; then three more.
      expect(Math.abs(means[c] - (1 - momentum) * mean)).toBeLessThan(30 * U);
      expect(Math.abs(variances[c] - (momentum + (1 - momentum) * variance))).toBeLessThan(30 * U);
    }
  });

  it('makes learning independent of the scale of its input', async () => {
    const layers = () => [
      dense({ units: 6, useBias: false, kernelInitializer: { constant: 1e-3 } }),
      batchNormalization(),
      activation({ activation: 'relu' }),
      dense({ units: 3 }),
    ];
    const model = sequential(layers(), { inputShape: [4], seed: 1, backend });
    const weights = model.getWeights();
    weights[0] = weights[0].map((_, i) => 50 * Math.sin(i + 1));
    model.setWeights(weights);
    model.compile({ optimizer: adam({ learningRate: 0.05 }), loss: 'categoricalCrossentropy' });
    await model.fit(separable(200), { epochs: 15, batchSize: 20 });
    // With moving statistics, which have come near those of the data.
    expect((await model.evaluate(separable(100, 3, 8))).accuracy).toBeGreaterThan(0.97);
  });
});

describe('in evaluation and prediction', () => {
  const net = () => [
    conv2d({ filters: 3, kernelSize: 3, useBias: false }),
    batchNormalization(),
    activation({ activation: 'relu' }),
    dense({ units: 4 }),
    batchNormalization({ scale: false }),
    dense({ units: 2 }),
  ];

  it('is folded into the layer before it, and the activation behind it rides on that', () => {
    const { evaluate, infer, program } = opsOf(net(), [5, 5, 1]);
    expect(namesOf(infer)).toEqual(['foldBatchNorm', 'conv2d', 'foldBatchNorm', 'dense', 'dense']);
    expect(namesOf(evaluate).slice(2, -1)).toEqual(namesOf(infer));
    expect(only(infer, 'conv2d')[0]).toMatchObject({
      weights: 'infer/0.weight.folded',
      bias: 'infer/0.weight.foldedBias',
      activation: 'relu',
      output: 'infer/2.output',
    });
    expect(only(infer, 'foldBatchNorm')[1]).toMatchObject({ bias: '3.bias', gamma: null, mean: '4.running_mean' });
    expect(program.buffers.find(({ name }) => name === 'infer/0.weight.folded')).toMatchObject({
      shape: [3, 3, 1, 3],
      batched: false,
      section: 'infer',
    });
  });

  it.each([
    ['an activation', [conv2d({ filters: 3, kernelSize: 3, activation: 'relu' }), batchNormalization()]],
    ['gelu', [conv2d({ filters: 3, kernelSize: 3, activation: 'gelu' }), batchNormalization()]],
    ['a flattened image', [conv2d({ filters: 3, kernelSize: 3 }), flatten(), batchNormalization()]],
    ['two readers', [conv2d({ filters: 3, kernelSize: 3 }), residual({ layers: [batchNormalization()] })]],
    ['nothing', [batchNormalization()]],
  ])('stays behind %s', (_, layers) => {
    const { infer } = opsOf([...layers, globalOr(layers), dense({ units: 2 })], [5, 5, 1]);
    expect(namesOf(infer)).toContain('batchNorm');
    expect(namesOf(infer)).not.toContain('foldBatchNorm');
    expect(only(infer, 'batchNorm')[0]).toMatchObject({ mean: expect.stringMatching(/running_mean$/) });
  });

  const globalOr = (layers: readonly { type: string }[]) =>
    layers.some(({ type }) => type === 'flatten') ? flatten() : globalAveragePooling2d();

  it('folded and not folded agree up to rounding', () => {
    const depth = 3 * 3 * 2;
    const geometry = {
      inputHeight: 4,
      inputWidth: 4,
      channels: 2,
      kernelHeight: 3,
      kernelWidth: 3,
      strideY: 1,
      strideX: 1,
      padTop: 0,
      padLeft: 0,
      outputHeight: 2,
      outputWidth: 2,
    };
    const builder = new ProgramBuilder().section('infer', 1);
    const vector = (name: string) => builder.persistent(name, 'parameter', [5]);
    const [bias, mean, variance, gamma, beta] = ['bias', 'mean', 'variance', 'gamma', 'beta'].map(vector);
    const weights = builder.persistent('weights', 'parameter', [3, 3, 2, 5]);
    const input = builder.batched('input', [4, 4, 2], 'input');
    const sums = builder.batched('sums', [2, 2, 5]);
    const output = builder.batched('output', [2, 2, 5]);
    const none = { winners: null, pool: false, activation: 'linear', negativeSlope: 0 } as const;
    builder.add({ op: 'conv2d', input, weights, bias, output: sums, ...geometry, ...none });
    builder.add({ op: 'batchNorm', input: sums, mean, variance, gamma, beta, output, epsilon: 0.001 });
    builder.endpoints(input, output);
    const program = builder.build();

    const random = new RandomStream(5, RandomPurpose.augment);
    const normal = (size: number) => Float32Array.from({ length: size }, () => random.normal());
    const values: Record<string, Float32Array> = {
      weights: normal(depth * 5),
      bias: normal(5),
      mean: normal(5),
      variance: normal(5).map((value) => value * value),
      gamma: normal(5),
      beta: normal(5),
    };
    const image = normal(32);
    const run = (each: Program) => {
      const session = createJsBackend().open(each, {});
      for (const [name, data] of Object.entries(values)) writeNow(session, name, data);
      const outputs = new Float32Array(20);
      session.inferSync(image, outputs);
      session.dispose();
      return outputs;
    };
    const folded = foldLayers(program);
    expect(namesOf(folded.sections.infer!.ops)).toEqual(['foldBatchNorm', 'conv2d']);
    const [plain, short] = [run(program), run(folded)];
    expect(short).not.toEqual(plain);
    const largest = image.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    for (let i = 0; i < 20; i++) {
      const f = i % 5;
      let weight = 0;
      for (let k = 0; k < depth; k++) weight += Math.abs(values.weights[k * 5 + f]);
      const scale = Math.abs(values.gamma[f]) / Math.sqrt(values.variance[f] + 0.001);
      const terms = weight * largest + Math.abs(values.bias[f]) + Math.abs(values.mean[f]);
      // A chain each, a rounding of every folded weight, and a few of what stands around.
      const bound = (2 * depth + 10) * U * (scale * terms + Math.abs(values.beta[f]));
      expect(Math.abs(short[i] - plain[i])).toBeLessThan(bound);
    }
  });

  it('uses moving statistics: one sample gets the same answer alone as among others', async () => {
    const model = sequential(net(), { inputShape: [5, 5, 1], seed: 4, backend });
    model.compile({ optimizer: 'adam', loss: 'categoricalCrossentropy' });
    const random = new RandomStream(5, RandomPurpose.augment);
    const inputs = Float32Array.from({ length: 25 * 40 }, () => random.normal());
    await model.fit({ inputs, targets: Uint8Array.from({ length: 40 }, (_, i) => i % 2) }, { batchSize: 17 });
    const all = await model.predict(inputs);
    expect(model.predictSync(inputs.subarray(25, 50))).toEqual(all.subarray(2, 4));
  });
});
