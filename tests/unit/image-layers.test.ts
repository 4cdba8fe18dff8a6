import { describe, expect, it } from 'vitest';
import {
  activation,
  averagePooling2d,
  conv2d,
  dense,
  flatten,
  globalAveragePooling2d,
  type Layer,
  maxPooling2d,
  sequential,
  softmax,
} from '../../src/index.js';
import { layerFromConfig } from '../../src/layers/from-config.js';
import { meanSquaredError } from '../../src/losses/mean-squared-error.js';
import { namesOf, only, opsOf } from '../helpers/lowering.js';
import { errorOf, failure } from '../helpers/toy.js';

const shapeOf = (layer: Layer, inputShape: number[]) => layer.build(inputShape).outputShape;

describe('windows', () => {
  // As TensorFlow's documentation states: valid ceil((n - k + 1) / s), same ceil(n / s).
  it.each([
    [{ kernelSize: 3 }, [7, 9, 2], [5, 7, 4], [0, 0]],
    [{ kernelSize: [2, 3], strides: 2 }, [7, 9, 2], [3, 4, 4], [0, 0]],
    [{ kernelSize: 3, padding: 'same' }, [7, 9, 2], [7, 9, 4], [1, 1]],
    [{ kernelSize: 4, padding: 'same' }, [7, 9, 2], [7, 9, 4], [1, 1]],
    [{ kernelSize: 3, strides: 2, padding: 'same' }, [7, 8, 2], [4, 4, 4], [1, 0]],
    [{ kernelSize: 5, strides: [3, 2], padding: 'same' }, [7, 8, 2], [3, 4, 4], [2, 1]],
    [{ kernelSize: 1, strides: 3, padding: 'same' }, [7, 8, 2], [3, 3, 4], [0, 0]],
    [{ kernelSize: 9, padding: 'same' }, [2, 3, 2], [2, 3, 4], [4, 4]],
  ] as const)('%j over %j: %j, padded by %j before', (options, inputShape, outputShape, [padTop, padLeft]) => {
    const layers = [conv2d({ filters: 4, ...options }), dense({ units: 2 })];
    const [op] = only(opsOf(layers, inputShape).infer, 'conv2d');
    expect([op.outputHeight, op.outputWidth, 4]).toEqual(outputShape);
    expect(op).toMatchObject({ padTop, padLeft, inputHeight: inputShape[0], inputWidth: inputShape[1], channels: 2 });
    expect(layers[0].build(inputShape).outputShape).toEqual(outputShape);
  });

  it('of pools are apart by their size, unless told', () => {
    expect(shapeOf(maxPooling2d(), [7, 8, 3])).toEqual([3, 4, 3]);
    expect(shapeOf(maxPooling2d({ padding: 'same' }), [7, 8, 3])).toEqual([4, 4, 3]);
    expect(shapeOf(averagePooling2d({ poolSize: [3, 2], strides: 1 }), [7, 8, 3])).toEqual([5, 7, 3]);
    expect(shapeOf(globalAveragePooling2d(), [7, 8, 3])).toEqual([3]);
    expect(shapeOf(globalAveragePooling2d({ keepDims: true }), [7, 8, 3])).toEqual([1, 1, 3]);
  });

  it.each<[Layer, number[], RegExp]>([
    [conv2d({ filters: 1, kernelSize: 3 }), [784], /images of \[height, width, channels\] for the input of conv2d/],
    [conv2d({ filters: 1, kernelSize: 3 }), [28, 28], /\[28, 28, 1\]/],
    [conv2d({ filters: 1, kernelSize: [3, 5] }), [4, 4, 1], /at least \[3, 5\].*received an array \[4, 4, 1\]/],
    [conv2d({ filters: 2 ** 20, kernelSize: 64 }), [64, 64, 3], /at most 2147483647 weights for the shape of conv2d/],
    [maxPooling2d({ poolSize: 3 }), [2, 5, 1], /at least \[3, 3\].*for the input of maxPooling2d/],
    [averagePooling2d(), [4], /for the input of averagePooling2d/],
    [globalAveragePooling2d(), [4, 4], /for the input of globalAveragePooling2d/],
    [softmax(), [2, 2, 3], /one row of numbers for the input of softmax.*flatten/],
  ])('%j refuses samples of %j', (layer, inputShape, message) => {
    expect(errorOf(() => layer.build(inputShape))).toEqual(failure('ERR_SHAPE', message));
  });
});

describe('options', () => {
  it.each<[(options: never) => Layer, object | undefined, RegExp]>([
    [conv2d, {}, /for filters, received undefined/],
    [conv2d, { filters: 0, kernelSize: 3 }, /for filters, received 0/],
    [conv2d, { filters: 2 }, /two in an array.*for kernelSize, received undefined/],
    [conv2d, { filters: 2, kernelSize: 0 }, /for kernelSize, received 0/],
    [conv2d, { filters: 2, kernelSize: [3] }, /two in an array.*for kernelSize/],
    [conv2d, { filters: 2, kernelSize: [3, 1.5] }, /for kernelSize\[1\], received 1\.5/],
    [conv2d, { filters: 2, kernelSize: 3, strides: [0, 1] }, /for strides\[0\], received 0/],
    [conv2d, { filters: 2, kernelSize: 3, padding: 'full' }, /one of valid, same for padding, received "full"/],
    [conv2d, { filters: 2, kernelSize: 3, activation: 'softmax' }, /for activation, received "softmax"/],
    [conv2d, { filters: 2, kernelSize: 3, kernelSIZE: 3 }, /Did you mean "kernelSize"/],
    [conv2d, { filters: 2, kernelSize: 3, negativeSlope: 1 }, /negativeSlope with activation linear/],
    [maxPooling2d, { poolSize: '2' }, /for poolSize, received "2"/],
    [averagePooling2d, { padding: true }, /for padding, received true/],
    [averagePooling2d, { kernelSize: 2 }, /one of poolSize, strides, padding for an option of averagePooling2d/],
    [globalAveragePooling2d, { keepDims: 1 }, /true or false for keepDims/],
    [activation, {}, /for activation, received undefined/],
    [activation, { activation: 'relu', negativeSlope: 0.1 }, /negativeSlope with activation relu/],
    [softmax, { axis: 1 }, /"axis"/],
  ])('%o refuses %j', (make, options, message) => {
    expect(errorOf(() => make(options as never))).toEqual(failure('ERR_ARGUMENT', message));
  });

  it.each([
    conv2d({ filters: 3, kernelSize: 5 }),
    conv2d({
      filters: 3,
      kernelSize: [5, 3],
      strides: [2, 1],
      padding: 'same',
      activation: 'leakyRelu',
      negativeSlope: 0.5,
      useBias: false,
      kernelInitializer: { constant: 0.5 },
      kernelRegularizer: { l1: 0.1, l2: 0.2 },
      kernelConstraint: { maxNorm: 3 },
    }),
    maxPooling2d({ poolSize: [2, 3] }),
    averagePooling2d({ strides: 1, padding: 'same' }),
    globalAveragePooling2d({ keepDims: true }),
    activation({ activation: 'leakyRelu', negativeSlope: 0.3 }),
    activation({ activation: 'softmax' }),
    softmax(),
  ])('survive in the configuration: %j', (layer) => {
    const restored = layerFromConfig(JSON.parse(JSON.stringify(layer.config)));
    expect(restored.config).toEqual(layer.config);
    expect(Object.isFrozen(layer.config)).toBe(true);
    expect(restored).toMatchObject({ type: layer.type, outputActivation: layer.outputActivation });
  });
});

describe('lowering', () => {
  const net = () => [
    conv2d({ filters: 4, kernelSize: 3, activation: 'relu' }),
    maxPooling2d({ poolSize: 3 }),
    conv2d({ filters: 5, kernelSize: 2, activation: 'tanh', useBias: false }),
    averagePooling2d(),
    globalAveragePooling2d(),
    dense({ units: 3 }),
    softmax(),
  ];

  it('goes forward and back, adds parts up and updates, in this order', () => {
    const { train, evaluate, infer, program } = opsOf(net(), [12, 12, 1]);
    const forward = ['conv2d', 'maxPool2d', 'conv2d', 'averagePool2d', 'averagePool2d', 'dense'];
    expect(namesOf(train)).toEqual([
      'gather',
      'gather',
      ...forward,
      'softmaxCrossEntropy',
      'denseBackward',
      'denseBackward',
      'sgd',
      'sgd',
      'averagePool2dBackward',
      'averagePool2dBackward',
      'activationBackward',
      'conv2dBackward',
      'maxPool2dBackward',
      'activationBackward',
      'conv2dBackward',
      'sumParts',
      'sumParts',
      'sumParts',
      'sgd',
      'sgd',
      'sgd',
    ]);
    expect(namesOf(evaluate)).toEqual(['gather', 'gather', ...forward, 'softmaxCrossEntropy']);
    expect(namesOf(infer)).toEqual([...forward, 'softmax']);
    const shapes = new Map(program.buffers.map(({ name, shape }) => [name, shape]));
    // Two parts of at most 16 samples in a step of 20.
    expect(shapes.get('train/0.weight.gradientParts')).toEqual([2, 3, 3, 1, 4]);
    expect(shapes.get('train/0.bias.gradientParts')).toEqual([2, 4]);
    expect(shapes.get('0.weight')).toEqual([3, 3, 1, 4]);
    const [second, first] = only(train, 'conv2dBackward');
    expect(first).toMatchObject({ dInput: null, dBiasParts: 'train/0.bias.gradientParts', dOutput: 'train/1.dInput' });
    expect(second).toMatchObject({ dInput: 'train/2.dInput', dBiasParts: null });
    expect(only(train, 'sumParts').map(({ output }) => output)).toEqual([
      'train/2.weight.gradient',
      'train/0.weight.gradient',
      'train/0.bias.gradient',
    ]);
  });

  it("remembers a pool's winners in training alone, as whole numbers", () => {
    const { train, infer, program } = opsOf(net(), [12, 12, 1]);
    expect(only(train, 'maxPool2d')[0].winners).toBe('train/1.winners');
    expect(only(infer, 'maxPool2d')[0].winners).toBeNull();
    expect(program.buffers.find(({ name }) => name === 'train/1.winners')).toMatchObject({
      type: 'int32',
      shape: [20, 3, 3, 4],
    });
  });

  it('passes no gradient through what stands before all weights', () => {
    const before = [
      averagePooling2d(),
      maxPooling2d(),
      activation({ activation: 'tanh' }),
      globalAveragePooling2d({ keepDims: true }),
      flatten(),
    ];
    const { train } = opsOf([...before, dense({ units: 3 })], [8, 8, 2]);
    expect(namesOf(train).slice(2)).toEqual([
      'averagePool2d',
      'maxPool2d',
      'activation',
      'averagePool2d',
      'dense',
      'softmaxCrossEntropy',
      'denseBackward',
      'sgd',
      'sgd',
    ]);
    expect(only(train, 'maxPool2d')[0].winners).toBeNull();
  });

  it('keeps gelu apart, and an activation layer after its pool', () => {
    const gelu = conv2d({ filters: 2, kernelSize: 3, activation: 'gelu' });
    const layers = [gelu, maxPooling2d(), activation({ activation: 'gelu' }), dense({ units: 2 })];
    const { train, infer } = opsOf(layers, [6, 6, 1]);
    expect(namesOf(infer)).toEqual(['conv2d', 'activation', 'maxPool2d', 'activation', 'dense']);
    expect(only(train, 'activationBackward').map(({ reference }) => reference)).toEqual([
      'train/1.output',
      'train/0.sums',
    ]);
  });

  it.each([softmax(), activation({ activation: 'softmax' })])(
    'leaves the softmax at the end to the loss that includes it: %j',
    (end) => {
      const layers = [conv2d({ filters: 3, kernelSize: 3 }), globalAveragePooling2d(), end];
      const including = opsOf(layers, [5, 5, 1]);
      expect(namesOf(including.train)).not.toContain('softmax');
      expect(namesOf(including.evaluate)).not.toContain('softmax');
      expect(namesOf(including.infer).at(-1)).toBe('softmax');
      const other = opsOf(layers, [5, 5, 1], meanSquaredError());
      expect(namesOf(other.train)).toContain('softmaxBackward');
      expect(namesOf(other.evaluate)).toContain('softmax');
      // In the middle of a model it stays.
      const middle = opsOf([...layers, dense({ units: 2 }), softmax()], [5, 5, 1]);
      expect(namesOf(middle.train).filter((op) => op.startsWith('softmax'))).toEqual([
        'softmax',
        'softmaxCrossEntropy',
        'softmaxBackward',
      ]);
    },
  );

  it("makes an activation behind a linear layer the op's own in prediction, not in training", () => {
    const relu = activation({ activation: 'relu' });
    const layers = [conv2d({ filters: 2, kernelSize: 3 }), relu, dense({ units: 4 }), relu, dense({ units: 2 })];
    const { train, evaluate, infer, program } = opsOf(layers, [6, 6, 1]);
    expect(namesOf(infer)).toEqual(['conv2d', 'dense', 'dense']);
    expect(infer.map((op) => 'activation' in op && op.activation)).toEqual(['relu', 'relu', 'linear']);
    expect(namesOf(evaluate).slice(2, -1)).toEqual(['conv2d', 'dense', 'dense']);
    expect(only(train, 'activation')).toHaveLength(2);
    const names = program.buffers.map(({ name }) => name);
    expect(names).toContain('infer/1.output');
    expect(names).not.toContain('infer/0.output');
  });
});

it('a model is only compiled with the loss that its last layer goes with', () => {
  const model = (last: Layer) => sequential([conv2d({ filters: 3, kernelSize: 3 }), last], { inputShape: [3, 3, 1] });
  const compile = (last: Layer) => model(last).compile({ optimizer: 'sgd', loss: 'categoricalCrossentropy' });
  compile(globalAveragePooling2d());
  compile(activation({ activation: 'linear' }));
  const refused = failure('ERR_ARGUMENT', /softmax \(or linear.*received "relu"/);
  expect(errorOf(() => compile(activation({ activation: 'relu' })))).toEqual(refused);
});
