import { describe, expect, it } from 'vitest';
import type { Backend } from '../../src/backends/backend.js';
import {
  type Activation,
  adam,
  averagePooling2d,
  conv2d,
  dense,
  type Layer,
  maxPooling2d,
  residual,
  type Sequential,
  sequential,
} from '../../src/index.js';
import { RandomPurpose, RandomStream } from '../../src/random.js';
import { availableBackends, titleOf } from '../helpers/backends.js';

const softmax = dense({ units: 4, activation: 'softmax' });
const convolution = (filters: number, activation: Activation) =>
  conv2d({ filters, kernelSize: 3, padding: 'same', activation, kernelInitializer: 'heNormal' });

/** The names of the ops of the section that trains, and whether a convolution has a pool. */
function describeTraining(model: Sequential): { ops: string[]; pooled: number } {
  const { ops } = model.program().sections.train!;
  return { ops: ops.map(({ op }) => op), pooled: ops.filter((op) => op.op === 'conv2d' && op.pool).length };
}

function compiled(layers: readonly Layer[], inputShape: readonly number[], backend?: Backend): Sequential {
  const model = sequential(layers, { inputShape, seed: 5, ...(backend && { backend }) });
  model.compile({ optimizer: adam({ learningRate: 0.01 }), loss: 'categoricalCrossentropy' });
  return model;
}

describe.each(availableBackends().map((backend) => [titleOf(backend), backend] as const))('%s', (_, backend) => {
  // Odd sides leave a row and a column that are in no pool. One channel has kernels of its own.
  it.each([
    ['relu', [9, 7, 3]],
    ['linear', [9, 7, 3]],
    ['relu', [8, 11, 1]],
  ] as const)('a pool inside a convolution of %s on %j gives the bits of one by itself', async (activation, shape) => {
    const stream = new RandomStream(3, RandomPurpose.augment);
    const count = 45;
    const inputs = Float32Array.from({ length: count * shape[0] * shape[1] * shape[2] }, () =>
      stream.uniform() < 0.6 ? 0 : Math.fround(stream.normal()),
    );
    const data = { inputs, targets: Uint8Array.from({ length: count }, () => stream.below(4)) };
    // The mean of one value changes no bit, and keeps the pool from being part of the convolution.
    const apart = averagePooling2d({ poolSize: 1 });
    const networks = [false, true].map((separate) => [
      convolution(5, activation),
      ...(separate ? [apart] : []),
      maxPooling2d(),
      convolution(18, activation),
      ...(separate ? [apart] : []),
      maxPooling2d(),
      softmax,
    ]);
    const [fused, separate] = networks.map((layers) => compiled(layers, shape, backend));
    try {
      expect(describeTraining(fused)).toMatchObject({ pooled: 2 });
      expect(describeTraining(separate)).toMatchObject({ pooled: 0 });
      separate.setWeights(fused.getWeights());
      const losses: number[][] = [];
      for (const model of [fused, separate]) {
        const { epochs } = await model.fit(data, { epochs: 2, batchSize: 20 });
        losses.push(epochs.map(({ loss }) => loss));
      }
      expect(fused.weightsSha256()).toBe(separate.weightsSha256());
      expect(losses[0]).toEqual(losses[1]);
      expect(await fused.predict(inputs)).toEqual(await separate.predict(inputs));
    } finally {
      fused.dispose();
      separate.dispose();
    }
  });
});

describe('what becomes of a pool behind a convolution', () => {
  const ops = (layers: readonly Layer[]) => {
    const model = compiled([...layers, softmax], [8, 8, 2]);
    try {
      return describeTraining(model);
    } finally {
      model.dispose();
    }
  };

  it('is part of it, forward and backward', () => {
    const { ops: names, pooled } = ops([convolution(4, 'relu'), maxPooling2d()]);
    expect(pooled).toBe(1);
    expect(names).not.toContain('maxPool2d');
    expect(names).not.toContain('maxPool2dBackward');
  });

  it('leaves no buffer of all positions behind', () => {
    const model = compiled([convolution(4, 'relu'), maxPooling2d(), softmax], [8, 8, 2]);
    const names = model.program().buffers.map(({ name }) => name);
    expect(names).toContain('train/1.output');
    expect(names).not.toContain('train/0.output');
    expect(names).not.toContain('train/1.dInput');
    model.dispose();
  });

  it.each<[string, Layer[]]>([
    ['an activation that may make two values equal', [convolution(4, 'tanh'), maxPooling2d()]],
    ['gelu, which needs the sums', [convolution(4, 'gelu'), maxPooling2d()]],
    ['larger windows', [convolution(4, 'relu'), maxPooling2d({ poolSize: 3 })]],
    ['overlapping windows', [convolution(4, 'relu'), maxPooling2d({ poolSize: 2, strides: 1 })]],
    ['padded windows', [conv2d({ filters: 4, kernelSize: 2 }), maxPooling2d({ padding: 'same' })]],
    [
      'a second reader',
      [convolution(2, 'relu'), residual({ layers: [maxPooling2d({ strides: 1, padding: 'same' })] })],
    ],
  ])('stays an operation of its own with %s', (_, layers) => {
    const { ops: names, pooled } = ops(layers);
    expect(pooled).toBe(0);
    expect(names).toContain('maxPool2d');
    expect(names).toContain('maxPool2dBackward');
  });

  it('stays one where a residual reads what it pools', () => {
    const short = [conv2d({ filters: 4, kernelSize: 1, strides: 2 })];
    const { ops: names, pooled } = ops([
      convolution(4, 'relu'),
      residual({ layers: [maxPooling2d()], shortcut: short }),
    ]);
    expect(pooled).toBe(0);
    expect(names).toContain('maxPool2d');
  });
});
