import { describe, expect, it } from 'vitest';
import { dense, flatten } from '../../src/index.js';
import { layerFromConfig } from '../../src/layers/from-config.js';
import { meanSquaredError } from '../../src/losses/mean-squared-error.js';
import { opsOf } from '../helpers/lowering.js';
import { errorOf, failure } from '../helpers/toy.js';

describe('dense', () => {
  it('builds weights [inputs, units] and a bias, and leaves the bias out on request', () => {
    const built = dense({ units: 3 }).build([4]);
    expect(built.outputShape).toEqual([3]);
    expect(built.parameters.map(({ name, shape }) => [name, shape])).toEqual([
      ['weight', [4, 3]],
      ['bias', [3]],
    ]);
    expect(dense({ units: 3, useBias: false }).build([4]).parameters).toHaveLength(1);
  });

  it('lowers to dense, the fused loss, and a backward pass that ends at the first layer', () => {
    const layers = [dense({ units: 5, activation: 'relu' }), dense({ units: 3, activation: 'softmax' })];
    const { train, evaluate, infer } = opsOf(layers, [2, 2]);
    expect(train.map(({ op }) => op)).toEqual([
      'gather',
      'gather',
      'dense',
      'dense',
      'softmaxCrossEntropy',
      'denseBackward',
      'denseBackward',
      'sgd',
      'sgd',
      'activationBackward',
      'denseBackward',
      'sgd',
      'sgd',
    ]);
    const backward = train.filter((op) => op.op === 'denseBackward');
    expect(backward.map(({ dInput }) => dInput)).toEqual(['train/1.dInput', null, null]);
    expect(backward.map(({ update }) => update)).toEqual([false, true, true]);
    expect(train.find((op) => op.op === 'activationBackward')).toMatchObject({
      reference: 'train/0.output',
      dOutput: 'train/1.dInput',
      dInput: 'train/1.dInput',
      activation: 'relu',
    });
    expect(evaluate.map(({ op }) => op)).toEqual(['gather', 'gather', 'dense', 'dense', 'softmaxCrossEntropy']);
    expect(evaluate.at(-1)).toMatchObject({ dLogits: null });
    expect(infer.map(({ op }) => op)).toEqual(['dense', 'dense', 'softmax']);
  });

  it('keeps gelu apart from the dense op, with the weighted sums for its derivative', () => {
    const { train } = opsOf([dense({ units: 5, activation: 'gelu' }), dense({ units: 3 })], [4]);
    expect(train.filter((op) => op.op === 'dense').map(({ activation }) => activation)).toEqual(['linear', 'linear']);
    expect(train.find((op) => op.op === 'activationBackward')).toMatchObject({
      activation: 'gelu',
      reference: 'train/0.sums',
    });
  });

  it('differentiates a softmax that no loss includes', () => {
    const layers = [dense({ units: 5, activation: 'softmax' }), dense({ units: 3, activation: 'softmax' })];
    const hidden = opsOf(layers, [4]).train.map(({ op }) => op);
    expect(hidden.filter((op) => op === 'softmax' || op === 'softmaxBackward')).toEqual(['softmax', 'softmaxBackward']);
    const squared = opsOf(layers, [4], meanSquaredError()).train.map(({ op }) => op);
    expect(squared.filter((op) => op === 'softmaxBackward')).toHaveLength(2);
  });

  it.each([
    [{ units: 0 }, /whole number of at least 1|from 1 to/],
    [{ units: 2.5 }, /for units, received 2\.5/],
    [{}, /for units, received undefined/],
    [{ units: 3, activation: 'relu6' }, /one of linear, relu.*softmax for activation, received "relu6"/],
    [{ units: 3, Activation: 'relu' }, /"Activation"\. Did you mean "activation"\?/],
    [{ units: 3, useBias: 1 }, /true or false for useBias/],
    [{ units: 3, kernelInitializer: 'one' }, /one of glorotUniform.*for kernelInitializer, received "one"/],
    [{ units: 3, kernelInitializer: { constant: '1' } }, /for kernelInitializer\.constant, received "1"/],
    [{ units: 3, kernelRegularizer: { l2: -1 } }, /for kernelRegularizer\.l2, received -1/],
    [{ units: 3, kernelRegularizer: { l3: 1 } }, /one of l1, l2 for an option of kernelRegularizer, received "l3"/],
    [{ units: 3, kernelConstraint: {} }, /for kernelConstraint\.maxNorm, received undefined/],
    [{ units: 3, kernelConstraint: { maxNorm: -1 } }, /for kernelConstraint\.maxNorm, received -1/],
    [{ units: 3, negativeSlope: 0.1 }, /negativeSlope with activation linear/],
    [{ units: 3, activation: 'leakyRelu', negativeSlope: -1 }, /for negativeSlope, received -1/],
    [[3], /an object for the options of dense/],
  ])('refuses %j', (options, message) => {
    expect(errorOf(() => dense(options as never))).toEqual(failure('ERR_ARGUMENT', message));
  });

  it('refuses a matrix that no array can hold', () => {
    const message = /at most 2147483647 weights/;
    expect(errorOf(() => dense({ units: 2 ** 30 }).build([4]))).toEqual(failure('ERR_SHAPE', message));
  });
});

describe('flatten', () => {
  it('costs no operation', () => {
    const plain = opsOf([dense({ units: 3 })], [4]);
    const flattened = opsOf([flatten(), dense({ units: 3 })], [2, 2]);
    expect(flattened.train.map(({ op }) => op)).toEqual(plain.train.map(({ op }) => op));
  });

  it('takes no options', () => {
    expect(errorOf(() => flatten({ axis: 1 } as never))).toEqual(failure('ERR_ARGUMENT', /"axis"/));
  });
});

describe('layerFromConfig', () => {
  it.each([
    flatten(),
    dense({ units: 7 }),
    dense({ units: 2, activation: 'leakyRelu', negativeSlope: 0.25, useBias: false, kernelInitializer: 'heNormal' }),
  ])('restores %j', (layer) => {
    expect(layerFromConfig(JSON.parse(JSON.stringify(layer.config))).config).toEqual(layer.config);
  });

  it.each([
    [{ type: 'lambda' }, /one of dense, conv2d, .*residual for the type of a layer/],
    [{ type: 'constructor' }, /for the type of a layer/],
    [JSON.parse('{"type":"dense","units":3,"__proto__":{}}'), /"__proto__"/],
    [null, /an object for a layer/],
  ])('refuses %j', (config, message) => {
    expect(errorOf(() => layerFromConfig(config))).toEqual(failure('ERR_ARGUMENT', message));
  });
});
