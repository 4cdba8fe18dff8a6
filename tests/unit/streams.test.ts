import { describe, expect, it } from 'vitest';
import {
  type BatchStream,
  batches,
  batchNormalization,
  type Dataset,
  dense,
  dropout,
  type LabelledSamples,
  oneCycle,
  sequential,
  sgd,
} from '../../src/index.js';
import { availableBackends, titleOf } from '../helpers/backends.js';
import { classifier, failure, historyOf, separable } from '../helpers/toy.js';

const data = separable(100);

/** Samples `from` to `to` - 1 of a data set. */
function cut({ inputs, targets }: Dataset, from: number, to: number): LabelledSamples {
  return { inputs: inputs.slice(from * 4, to * 4), targets: targets.slice(from, to) };
}

async function* inPieces(...sizes: number[]): AsyncGenerator<LabelledSamples> {
  let from = 0;
  for (const size of sizes) {
    await new Promise(setImmediate);
    yield cut(data, from, from + size);
    from += size;
  }
}

describe.each(availableBackends().map((backend) => [titleOf(backend), backend] as const))(
  'a stream, %s',
  (_, backend) => {
    it('trains to the bits of the same data in memory', async () => {
      const memory = classifier({ backend });
      const history = await memory.fit(data, { batchSize: 8, epochs: 3, shuffle: false });
      for (const prefetch of [1, 3, 100]) {
        const model = classifier({ backend });
        const stream = batches(data, { batchSize: 8, shuffle: false });
        const streamed = await model.fit(stream, { epochs: 3, prefetch });
        expect(model.weightsSha256()).toBe(memory.weightsSha256());
        expect(streamed.history).toEqual(history.history);
      }
    });

    it('in the shuffled order of data in memory as well', async () => {
      const memory = classifier({ backend, seed: 5 });
      await memory.fit(data, { batchSize: 8, epochs: 3 });
      const model = classifier({ backend, seed: 5 });
      await model.fit(batches(data, { batchSize: 8, seed: 5 }), { epochs: 3 });
      expect(model.weightsSha256()).toBe(memory.weightsSha256());
    });

    it('batches of any size are cut and joined to steps of batchSize', async () => {
      const memory = classifier({ backend });
      await memory.fit(data, { batchSize: 8, epochs: 2, shuffle: false });
      const model = classifier({ backend });
      await model.fit(() => inPieces(3, 30, 1, 40, 26), { batchSize: 8, epochs: 2 });
      expect(model.weightsSha256()).toBe(memory.weightsSha256());
    });

    it('batches of different sizes are steps of those sizes', async () => {
      const sizes = [3, 30, 30, 1, 36];
      const model = classifier({ backend });
      await model.fit(() => inPieces(...sizes));
      const stepwise = classifier({ backend });
      let from = 0;
      for (const size of sizes) {
        await stepwise.fit(cut(data, from, from + size), { batchSize: size, shuffle: false });
        from += size;
      }
      expect(model.weightsSha256()).toBe(stepwise.weightsSha256());
    });

    it('dropout and augmentation draw as for data in memory', async () => {
      const model = () => {
        const layers = [dropout({ rate: 0.5 }), dense({ units: 3, activation: 'softmax' })];
        const made = sequential(layers, { inputShape: [2, 2, 1], seed: 2, backend });
        made.compile({ optimizer: 'adam', loss: 'categoricalCrossentropy', augmentation: { shift: 1 } });
        return made;
      };
      const memory = model();
      await memory.fit(data, { batchSize: 8, epochs: 2, shuffle: false });
      for (const prefetch of [1, 4]) {
        const streamed = model();
        await streamed.fit(batches(data, { batchSize: 8, shuffle: false }), { epochs: 2, prefetch });
        expect(streamed.weightsSha256()).toBe(memory.weightsSha256());
      }
    });

    it('floats, regression and statistics of batches come through', async () => {
      const inputs = Float32Array.from({ length: 64 }, (_value, index) => Math.sin(index * 1.7));
      const targets = Float32Array.from({ length: 32 }, (_value, index) => Math.cos(index));
      const model = () => {
        const made = sequential([batchNormalization(), dense({ units: 1 })], { inputShape: [2], backend });
        made.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
        return made;
      };
      const [memory, streamed] = [model(), model()];
      await memory.fit({ inputs, targets }, { batchSize: 5, epochs: 2, shuffle: false });
      await streamed.fit(batches({ inputs, targets, count: 32 }, { batchSize: 5, shuffle: false }), { epochs: 2 });
      expect(streamed.weightsSha256()).toBe(memory.weightsSha256());
    });
  },
);

describe('streams', () => {
  it('a step per epoch schedule needs to know how long the fit is', async () => {
    const optimizer = () => sgd({ learningRate: oneCycle(0.5) });
    const memory = classifier({ optimizer: optimizer() });
    await memory.fit(data, { batchSize: 10, epochs: 3, shuffle: false });
    const model = classifier({ optimizer: optimizer() });
    const stream = batches(data, { batchSize: 10, shuffle: false });
    await expect(model.fit(stream, { epochs: 3 })).rejects.toEqual(failure('ERR_ARGUMENT', /oneCycle/));
    const known = classifier({ optimizer: optimizer() });
    await known.fit(stream, { epochs: 3, stepsPerEpoch: 10 });
    expect(known.weightsSha256()).toBe(memory.weightsSha256());
  });

  it('with stepsPerEpoch an iterable is read on from epoch to epoch', async () => {
    const memory = classifier();
    await memory.fit(data, { batchSize: 10, shuffle: false });
    const model = classifier();
    const { epochs } = await model.fit(inPieces(25, 25, 25, 25), { batchSize: 10, epochs: 5, stepsPerEpoch: 2 });
    expect(epochs).toHaveLength(5);
    expect(model.weightsSha256()).toBe(memory.weightsSha256());
  });

  it('arrays of batches and other iterables are streams', async () => {
    const memory = classifier();
    await memory.fit(data, { batchSize: 50, epochs: 2, shuffle: false });
    const list = [cut(data, 0, 50), cut(data, 50, 100)];
    for (const stream of [list, new Set(list), () => list.values()] as BatchStream[]) {
      const model = classifier();
      await model.fit(stream, { epochs: 2 });
      expect(model.weightsSha256()).toBe(memory.weightsSha256());
    }
  });

  it('memory of a batch may be used again for the next', async () => {
    const memory = classifier();
    await memory.fit(data, { batchSize: 10, shuffle: false });
    const model = classifier();
    await model.fit(async function* () {
      const [inputs, targets] = [new Uint8Array(40), new Uint8Array(10)];
      for (let from = 0; from < 100; from += 10) {
        inputs.set(data.inputs.subarray(from * 4, from * 4 + 40));
        targets.set(data.targets.subarray(from, from + 10));
        yield { inputs, targets };
      }
    });
    expect(model.weightsSha256()).toBe(memory.weightsSha256());
  });

  it('reads no further ahead than it says', async () => {
    let read = 0;
    let done = 0;
    let furthest = 0;
    const model = classifier();
    await model.fit(
      async function* () {
        for (let from = 0; from < 100; from += 2) {
          read++;
          furthest = Math.max(furthest, read - done);
          yield cut(data, from, from + 2);
        }
      },
      {
        prefetch: 4,
        callbacks: [
          {
            onTrainBatchEnd: () => {
              done++;
            },
          },
        ],
      },
    );
    expect(read).toBe(50);
    // Those that run, those read ahead, and the one on its way.
    expect(furthest).toBeGreaterThan(1);
    expect(furthest).toBeLessThanOrEqual(4 + 4 + 1);
  });

  it('progress and callbacks know that nobody knows the length', async () => {
    const seen: unknown[] = [];
    await classifier().fit(batches(data), {
      onProgress: ({ steps, count }) => seen.push([steps, count]),
      callbacks: [
        {
          onTrainBegin: ({ stepsPerEpoch }) => {
            seen.push(stepsPerEpoch);
          },
        },
      ],
    });
    expect(seen.slice(0, 2)).toEqual([null, [null, null]]);
  });

  it('validates on data in memory', async () => {
    const { history } = await classifier().fit(batches(data), { validationData: separable(20), epochs: 2 });
    expect(history.validationLoss).toHaveLength(2);
  });

  it('diverging, goes back to weights with a finite loss', async () => {
    const stream = batches(data, { batchSize: 10, shuffle: false });
    const model = classifier({ optimizer: sgd({ learningRate: (step) => (step < 13 ? 0.1 : 1e300) }) });
    const failing = model.fit(stream, { epochs: 3 });
    await expect(failing).rejects.toEqual(failure('ERR_NON_FINITE', /epoch 2, step 5, received/));
    expect(model.getWeights().every((values) => values.every(Number.isFinite))).toBe(true);
  });
});

describe('a stream that ends early', () => {
  /** A stream that says how it was left. */
  function watched(batch: () => Promise<LabelledSamples> | LabelledSamples) {
    const state = { closed: false };
    const stream = async function* () {
      try {
        for (;;) yield await batch();
      } finally {
        state.closed = true;
      }
    };
    return { state, stream };
  }

  it('by an abort: the iterator is closed', async () => {
    const { state, stream } = watched(() => cut(data, 0, 10));
    const controller = new AbortController();
    const fitting = historyOf(
      classifier().fit(stream, {
        signal: controller.signal,
        onProgress: () => controller.abort(),
      }),
    );
    expect((await fitting).stopped).toBe('aborted');
    expect(state.closed).toBe(true);
  });

  it.each(['signal', 'dispose'])('by %s while a batch is waited for that never comes', async (way) => {
    const { stream } = watched(() => new Promise<never>(() => {}));
    const controller = new AbortController();
    const model = classifier();
    const fitting = historyOf(model.fit(stream, { signal: controller.signal }));
    setTimeout(() => (way === 'signal' ? controller.abort() : model.dispose()), 5);
    const { stopped, epochs } = await fitting;
    expect([stopped, epochs]).toEqual(['aborted', []]);
  });

  it('by an error of its own, after the batches before it were trained on', async () => {
    const model = classifier();
    const fitting = model.fit(async function* () {
      yield cut(data, 0, 10);
      throw new Error('the disk is gone');
    });
    await expect(fitting).rejects.toThrow('the disk is gone');
    const one = classifier();
    await one.fit(cut(data, 0, 10), { batchSize: 10, shuffle: false });
    expect(model.weightsSha256()).toBe(one.weightsSha256());
  });

  it('by a callback', async () => {
    const { state, stream } = watched(() => cut(data, 0, 10));
    const callbacks = [
      {
        onTrainBatchEnd: (batch: number, _result: unknown, context: { stopTraining(reason: string): void }) => {
          if (batch === 3) context.stopTraining('three are enough');
        },
      },
    ];
    const { stopped, stopReason } = await classifier().fit(stream, { callbacks });
    expect([stopped, stopReason, state.closed]).toEqual(['callback', 'three are enough', true]);
  });
});

describe('a slow stream', () => {
  it('does not keep a callback that stops waiting', async () => {
    const stream = async function* () {
      for (let from = 0; from < 20; from += 10) yield cut(data, from, from + 10);
      await new Promise(() => {});
    };
    const stop = {
      onTrainBatchEnd: (batch: number, _result: unknown, context: { stopTraining(): void }) => {
        if (batch === 2) context.stopTraining();
      },
    };
    const { stopped, stopReason } = await classifier().fit(stream, { callbacks: [stop] });
    expect([stopped, stopReason]).toEqual(['callback', 'A callback stopped it.']);
  });

  it('leaves no listeners behind', async () => {
    const warnings: string[] = [];
    const listener = ({ message }: Error) => warnings.push(message);
    process.on('warning', listener);
    await classifier().fit(async function* () {
      for (let batch = 0; batch < 40; batch++) {
        await new Promise((resolve) => setTimeout(resolve, 1));
        yield cut(data, 0, 5);
      }
    });
    await new Promise(setImmediate);
    process.off('warning', listener);
    expect(warnings).toEqual([]);
  });

  it.each([1, 3])('ends as if aborted when the model is disposed of after batch %i', async (last) => {
    const model = classifier();
    const dispose = {
      onTrainBatchEnd: (batch: number) => {
        if (batch === last) model.dispose();
      },
    };
    const fitting = historyOf(model.fit(batches(data, { batchSize: 5 }), { prefetch: 2, callbacks: [dispose] }));
    expect((await fitting).stopped).toBe('aborted');
  });
});

describe('wrong streams', () => {
  it.each<[string, BatchStream, object, RegExp]>([
    ['read once', inPieces(50, 50), { epochs: 2 }, /epoch 2 of the stream, received none.*function/],
    ['empty', [], {}, /epoch 1 of the stream, received none/],
    ['too short', () => inPieces(10, 10), { stepsPerEpoch: 3 }, /3 steps \(stepsPerEpoch\) for epoch 1.*received 2/],
    ['without batches', (() => 3) as never, {}, /an iterable of batches for what the stream function returned/],
    ['with wrong batches', [{ inputs: new Uint8Array(7), targets: [0] }], {}, /batch 1 of the stream.*inputs/],
    [
      'with wrong labels',
      [cut(data, 0, 5), { inputs: new Uint8Array(4), targets: [3] }],
      {},
      /batch 2 of the stream.*targets\[0\]/,
    ],
    ['with nothing', [null as never], {}, /inputs and targets for batch 1/],
  ])('%s', async (_, stream, options, message) => {
    await expect(classifier().fit(stream, options)).rejects.toThrow(message);
  });

  it.each([
    [{ validationSplit: 0.1 }, /validationSplit with a stream/],
    [{ shuffle: true }, /shuffle with a stream/],
    [{ stepsPerEpoch: 0 }, /stepsPerEpoch/],
    [{ prefetch: 0 }, /prefetch/],
    [{ batchSize: 0 }, /batchSize/],
  ])('options %j are refused', async (options, message) => {
    await expect(classifier().fit(batches(data), options)).rejects.toEqual(failure('ERR_ARGUMENT', message));
  });

  it.each([[{ stepsPerEpoch: 3 }], [{ prefetch: 3 }]])('%j needs a stream', async (options) => {
    await expect(classifier().fit(data, options)).rejects.toEqual(failure('ERR_ARGUMENT', /without a stream/));
  });

  it.each([
    [null, {}, /typed arrays/],
    [{ inputs: [1], targets: [1], count: 1 }, {}, /typed arrays/],
    [data, { batchSize: 0 }, /batchSize/],
    [data, { size: 3 }, /"size"/],
  ])('batches(%j, %j)', (wrong, options, message) => {
    expect(() => batches(wrong as never, options as never)).toThrow(message);
  });
});
