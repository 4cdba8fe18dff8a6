import { describe, expect, it } from 'vitest';
import type { Backend } from '../../src/backends/backend.js';
import { adam, dense, type FitProgress, meanSquaredError, oneCycle, sequential, sgd } from '../../src/index.js';
import {
  backend,
  backendWith,
  classifier,
  failure,
  historyOf,
  separable,
  softmaxLayers,
  xorSamples,
} from '../helpers/toy.js';

describe('learning', () => {
  it('separates what is separable', async () => {
    const model = classifier({ optimizer: adam({ learningRate: oneCycle(0.05) }) });
    const history = await model.fit(separable(300), { epochs: 5, batchSize: 16 });
    const evaluation = await model.evaluate(separable(200, 3, 8));
    expect(history.stopped).toBe('completed');
    expect(history.epochs.map(({ epoch }) => epoch)).toEqual([1, 2, 3, 4, 5]);
    expect(evaluation.accuracy).toBe(1);
    expect(evaluation.loss).toBeLessThan(0.1);
    expect(history.history.loss[4]).toBeLessThan(history.history.loss[0] / 4);
  });

  it('learns exclusive or with tanh and mean squared error', async () => {
    const { inputs, targets } = xorSamples();
    const model = sequential([dense({ units: 4, activation: 'tanh' }), dense({ units: 1 })], {
      inputShape: [2],
      seed: 1,
      backend,
    });
    model.compile({ optimizer: adam({ learningRate: 0.05 }), loss: meanSquaredError() });
    const history = await model.fit({ inputs, targets }, { epochs: 400, batchSize: 4 });
    expect(history.epochs.at(-1)!.loss).toBeLessThan(0.01);
    expect(Array.from(model.predictSync(inputs), (value) => Number(value > 0.5))).toEqual([0, 1, 1, 0]);
    expect(history.epochs[0]).not.toHaveProperty('accuracy');
    expect(Object.keys(history.history)).toEqual(['loss', 'learningRate']);
  });

  it.each(['relu', 'leakyRelu', 'sigmoid', 'tanh', 'gelu', 'linear', 'softmax'] as const)(
    'goes down the gradient through %s',
    async (activation) => {
      const layers = [dense({ units: 6, activation }), dense({ units: 6, activation }), dense({ units: 3 })];
      const model = sequential(layers, { inputShape: [4], seed: 3, backend });
      model.compile({ optimizer: sgd({ learningRate: 0.05, momentum: 0.9 }), loss: 'categoricalCrossentropy' });
      const data = separable(60);
      const before = await model.evaluate(data);
      await model.fit(data, { epochs: 40, batchSize: 10 });
      expect((await model.evaluate(data)).loss).toBeLessThan(before.loss * 0.8);
    },
  );
});

describe('reproducibility', () => {
  const train = async (seed: number, epochs: number[], batchSize = 16) => {
    const model = classifier({ seed });
    for (const count of epochs) await model.fit(separable(100), { epochs: count, batchSize });
    return model.weightsSha256();
  };

  it('the same seed gives the same weights, another seed others', async () => {
    expect(await train(5, [2])).toBe(await train(5, [2]));
    expect(await train(5, [2])).not.toBe(await train(6, [2]));
  });

  it('two epochs and then three are five, whatever happens between', async () => {
    const whole = await train(5, [5]);
    expect(await train(5, [2, 3])).toBe(whole);

    const model = classifier({ seed: 5 });
    const data = separable(100);
    await model.predict(data);
    await model.fit(data, { epochs: 2, batchSize: 16 });
    await model.evaluate(data, { batchSize: 500 });
    const history = await model.fit(data, { epochs: 3, batchSize: 16, validationData: separable(300) });
    expect(model.weightsSha256()).toBe(whole);
    expect(history.epochs.map(({ epoch }) => epoch)).toEqual([3, 4, 5]);
  });

  it('carries optimizer state to a session of a greater batch size', async () => {
    const sizes = async (open: Partial<Backend>) => {
      const model = classifier({ seed: 5, backend: { ...backend, ...open } });
      for (const batchSize of [10, 40, 20]) await model.fit(separable(100), { batchSize });
      return model.weightsSha256();
    };
    // A session that has room for the greatest batch from the beginning never has to be replaced.
    const roomy: Partial<Backend> = {
      open: (program, options) => {
        const buffers = program.buffers.map((buffer) =>
          buffer.section === 'train' && buffer.batched ? { ...buffer, shape: [40, ...buffer.shape.slice(1)] } : buffer,
        );
        const { train, ...others } = program.sections;
        const sections = train ? { train: { ...train, capacity: 40 }, ...others } : others;
        return backend.open({ ...program, buffers, sections }, options);
      },
    };
    expect(await sizes({})).toBe(await sizes(roomy));
  });

  it('shuffles every epoch anew, or not at all', async () => {
    const orders: number[][] = [];
    const recording = backendWith((session) => {
      const run = session.run.bind(session);
      session.run = (section, data, order, plan, options) => {
        if (section === 'train') orders.push([...order]);
        return run(section, data, order, plan, options);
      };
    });
    const model = classifier({ backend: recording });
    await model.fit(separable(10), { epochs: 2, validationSplit: 0.2 });
    await model.fit(separable(10), { shuffle: false });
    const inOrder = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
    expect(orders[0].toSorted((a, b) => a - b)).toEqual(inOrder.slice(0, 8));
    expect(orders[1].toSorted((a, b) => a - b)).toEqual(inOrder.slice(0, 8));
    expect(orders[0]).not.toEqual(orders[1]);
    expect(orders[2]).toEqual(inOrder);
  });
});

describe('validation', () => {
  it('split takes the end of the data, and equals giving the two parts', async () => {
    const data = separable(100);
    const part = (start: number, end: number) => ({
      inputs: data.inputs.slice(start * 4, end * 4),
      targets: data.targets.slice(start, end),
    });
    const split = await classifier().fit(data, { epochs: 2, validationSplit: 0.25 });
    const given = await classifier().fit(part(0, 75), { epochs: 2, validationData: part(75, 100) });
    expect(given.history).toEqual(split.history);
    expect(split.history.validationLoss).toHaveLength(2);
    expect(split.history.validationAccuracy).toEqual(split.epochs.map((epoch) => epoch.validationAccuracy));
  });

  it('is the evaluation of the weights at the end of the epoch', async () => {
    const validationData = separable(50, 3, 9);
    const model = classifier();
    const { epochs } = await model.fit(separable(100), { validationData });
    const { loss, accuracy } = await model.evaluate(validationData, { batchSize: 7 });
    expect(epochs[0]).toMatchObject({ validationAccuracy: accuracy });
    // Summed in float64 in another grouping.
    expect(Math.abs(epochs[0].validationLoss! - loss)).toBeLessThan(50 * 2 ** -50);
  });

  it.each([
    [{ validationSplit: 1 }, /for validationSplit, received 1/],
    [{ validationSplit: 0 }, /leaves both sides some for validationSplit, received 0/],
    [{ validationSplit: 0.999 }, /a part of 10 samples/],
    [{ validationSplit: 0.2, validationData: separable(3) }, /validationSplit with validationData/],
  ])('refuses %j', async (options, message) => {
    await expect(classifier().fit(separable(10), options)).rejects.toEqual(failure('ERR_ARGUMENT', message));
  });
});

describe('abort', () => {
  it('keeps the weights of the last whole step and resolves with the whole epochs', async () => {
    const controller = new AbortController();
    let runs = 0;
    // The signal comes in the seventh step of the second epoch.
    const backend = backendWith((session) => {
      const run = session.run.bind(session);
      session.run = async (section, data, order, plan, options) => {
        if (++runs !== 2) return run(section, data, order, plan, options);
        expect(options?.signal?.aborted).toBe(false);
        const scalars = plan.scalars.slice(0, 7);
        const result = await run(section, data, order.slice(0, 7), { ...plan, scalars });
        controller.abort();
        expect(options?.signal?.aborted).toBe(true);
        return { ...result, aborted: true };
      };
    });
    const data = separable(10);
    const options = { batchSize: 1, shuffle: false };
    const model = classifier({ optimizer: 'sgd', backend });
    const history = await historyOf(model.fit(data, { ...options, epochs: 3, signal: controller.signal }));
    expect(history.stopped).toBe('aborted');
    expect(history.epochs.map(({ epoch }) => epoch)).toEqual([1]);

    const same = classifier({ optimizer: 'sgd' });
    await same.fit(data, options);
    await same.fit({ inputs: data.inputs.slice(0, 28), targets: data.targets.slice(0, 7) }, options);
    expect(model.weightsSha256()).toBe(same.weightsSha256());
  });

  it('really ends a long run', async () => {
    const controller = new AbortController();
    const { stopped, epochs } = await historyOf(
      classifier().fit(separable(500), {
        batchSize: 1,
        epochs: 1e6,
        signal: controller.signal,
        onProgress: ({ epoch }) => {
          if (epoch === 3) controller.abort();
        },
      }),
    );
    expect(stopped).toBe('aborted');
    expect([2, 3]).toContain(epochs.length);
  });

  it('leaves the optimizer where the last whole step left it', async () => {
    // A run that ends after two steps whatever was asked, as one does that the signal meets in its second step.
    const interrupted = backendWith((session) => {
      const run = session.run.bind(session);
      session.run = async (section, data, order, { batchSize, scalars }, options) => {
        const part = { batchSize, scalars: scalars.slice(0, 2 * 3) };
        return { ...(await run(section, data, order.slice(0, 2 * batchSize), part, options)), aborted: true };
      };
    });
    const steps: number[] = [];
    const learningRate = (step: number) => {
      steps.push(step);
      return 0.01;
    };
    const model = classifier({ backend: interrupted, optimizer: adam({ learningRate }) });
    const data = separable(10);
    for (const first of [0, 2, 4]) {
      steps.length = 0;
      const { stopped, epochs } = await historyOf(model.fit(data, { batchSize: 2, epochs: 3 }));
      expect([stopped, epochs]).toEqual(['aborted', []]);
      expect(steps).toEqual([0, 1, 2, 3, 4].map((step) => first + step));
    }
  });

  it('before the first step trains nothing and resolves as well', async () => {
    const model = classifier();
    const before = model.weightsSha256();
    const history = await historyOf(model.fit(separable(10), { signal: AbortSignal.abort(), validationSplit: 0.5 }));
    expect(history).toEqual({
      epochs: [],
      history: { loss: [], learningRate: [] },
      trainSeconds: 0,
      stopped: 'aborted',
    });
    expect(model.weightsSha256()).toBe(before);
  });

  it('in onEpochEnd ends the fit after that epoch', async () => {
    const controller = new AbortController();
    const { epochs, stopped } = await historyOf(
      classifier().fit(separable(10), {
        epochs: 9,
        signal: controller.signal,
        onEpochEnd: ({ epoch }) => {
          if (epoch === 2) controller.abort();
        },
      }),
    );
    expect([epochs.length, stopped]).toEqual([2, 'aborted']);
  });
});

describe('callbacks', () => {
  it('progress grows to the end of every epoch', async () => {
    const seen: FitProgress[] = [];
    const model = classifier();
    const { epochs } = await model.fit(separable(50), {
      epochs: 2,
      batchSize: 20,
      onProgress: (progress) => seen.push(progress),
    });
    const ends = seen.filter(({ step, steps }) => step === steps);
    expect(ends).toEqual(
      epochs.map(({ epoch, loss, accuracy }) => {
        return { epoch, epochs: 2, step: 3, steps: 3, samples: 50, count: 50, loss, accuracy };
      }),
    );
  });

  it('onEpochEnd is awaited, and may read, evaluate and save', async () => {
    const model = classifier();
    const seen: unknown[] = [];
    const { epochs } = await model.fit(separable(50), {
      epochs: 2,
      onEpochEnd: async (result) => {
        await new Promise((resolve) => setImmediate(resolve));
        seen.push(result, model.weightsSha256(), (await model.evaluate(separable(20))).count);
      },
    });
    expect(seen).toEqual([epochs[0], expect.any(String), 20, epochs[1], model.weightsSha256(), 20]);
  });

  it.each(['onProgress', 'onEpochEnd'])('an error thrown by %s ends the fit and comes out', async (name) => {
    const model = classifier();
    const wrong = () => {
      throw new Error('from the callback');
    };
    await expect(model.fit(separable(10), { [name]: wrong })).rejects.toThrow('from the callback');
    await model.fit(separable(10));
  });
});

describe('several calls at once', () => {
  it('refuses a second fit, compile and setWeights, and answers predict and evaluate', async () => {
    const model = classifier();
    const data = separable(100);
    const weights = model.getWeights();
    const running = model.fit(data, { epochs: 3 });
    await expect(model.fit(data)).rejects.toEqual(failure('ERR_STATE', /Wait for the running fit/));
    expect(() => model.compile({ optimizer: 'sgd', loss: 'categoricalCrossentropy' })).toThrow(/running fit/);
    expect(() => model.setWeights(weights)).toThrow(/running fit/);
    const [probabilities, evaluation] = await Promise.all([model.predict(data), model.evaluate(data)]);
    expect(probabilities).toHaveLength(300);
    expect(evaluation.count).toBe(100);
    expect((await running).epochs).toHaveLength(3);
  });

  it('refuses to read weights in the middle of a run', async () => {
    const model = classifier();
    const caught: unknown[] = [];
    await model.fit(separable(10), {
      onProgress: () => {
        try {
          model.getWeights();
        } catch (error) {
          caught.push(error);
        }
      },
    });
    expect(caught[0]).toEqual(failure('ERR_STATE', /in the middle of a run/));
  });
});

describe('divergence', () => {
  it('ends the run as soon as progress shows it', async () => {
    const seen: (boolean | undefined)[] = [];
    const diverging = backendWith((session) => {
      session.run = async (_section, _data, _order, _plan, options) => {
        const progress = { steps: 1, samples: 1, lossSum: Number.NaN, correct: 0 };
        options?.onProgress?.(progress);
        seen.push(options?.signal?.aborted);
        return { ...progress, metrics: Float64Array.of(Number.NaN, 0), aborted: true, diverged: true };
      };
    });
    const progress: FitProgress[] = [];
    const onProgress = (each: FitProgress) => progress.push(each);
    const fitting = classifier({ backend: diverging }).fit(separable(9), { batchSize: 1, onProgress });
    await expect(fitting).rejects.toEqual(failure('ERR_NON_FINITE', /epoch 1, step 1 of 9, received NaN/));
    expect([seen, progress]).toEqual([[true], []]);
  });
});

describe('wrong data', () => {
  const good = separable(4);
  const floats = Float32Array.from(good.inputs);

  it.each<[string, object, RegExp, string]>([
    ['nothing', null as never, /inputs and targets for data/, 'ERR_ARGUMENT'],
    ['no targets', { inputs: good.inputs }, /for data\.targets, received undefined/, 'ERR_ARGUMENT'],
    ['inputs of float64', { ...good, inputs: new Float64Array(16) }, /for data\.inputs/, 'ERR_ARGUMENT'],
    ['nested inputs', { ...good, inputs: [[1, 2, 3, 4]] }, /data\.inputs\[0\].*made flat/, 'ERR_ARGUMENT'],
    ['no samples', { inputs: new Uint8Array(0), targets: [] }, /multiple of 4 numbers/, 'ERR_SHAPE'],
    ['half a sample', { ...good, inputs: new Uint8Array(18) }, /multiple of 4.*\[2, 2, 1\]/, 'ERR_SHAPE'],
    ['another count', { ...good, count: 5 }, /4, as many.*data\.count, received 5/, 'ERR_SHAPE'],
    ['too few targets', { ...good, targets: new Uint8Array(3) }, /4 elements.*data\.targets/, 'ERR_SHAPE'],
    ['another shape', { ...good, shape: [4, 4] }, /\[2, 2, 1\] for data\.shape/, 'ERR_SHAPE'],
    ['shape turned over', { ...good, shape: [1, 4, 1, 1, 2] }, /for data\.shape/, 'ERR_SHAPE'],
    ['other classes', { ...good, classNames: ['a', 'b'] }, /3 classes, one per output/, 'ERR_SHAPE'],
    [
      'a label beyond',
      { ...good, targets: [0, 1, 3, 0] },
      /from 0 to 2 for data\.targets\[2\], received 3/,
      'ERR_DATA',
    ],
    ['a label below', { ...good, targets: Int32Array.of(0, -1, 0, 0) }, /data\.targets\[1\], received -1/, 'ERR_DATA'],
    ['half a label', { ...good, targets: [0, 1, 0.5, 0] }, /data\.targets\[2\], received 0\.5/, 'ERR_DATA'],
    ['rows of nothing', { ...good, targets: new Float32Array(12) }, /sum to 1 for row 0 of data\.targets/, 'ERR_DATA'],
    [
      'NaN',
      { ...good, inputs: floats.with(6, Number.NaN) },
      /data\.inputs\[6\] \(sample 1\), received NaN/,
      'ERR_DATA',
    ],
    ['infinity', { ...good, inputs: floats.with(6, Infinity) }, /received Infinity/, 'ERR_DATA'],
  ])('%s is refused before the first step', async (_name, data, message, code) => {
    const model = classifier();
    const before = model.weightsSha256();
    await expect(model.fit(data as never)).rejects.toEqual(failure(code as never, message));
    if (data !== null) {
      const validationData = data as never;
      const named = new RegExp(message.source.replaceAll('data\\.', 'validationData\\.'));
      await expect(model.fit(good, { validationData })).rejects.toEqual(failure(code as never, named));
    }
    await expect(model.evaluate(data as never)).rejects.toEqual(failure(code as never, message));
    expect(model.weightsSha256()).toBe(before);
  });

  it('NaN targets and wrong lengths for meanSquaredError', async () => {
    const model = classifier({ loss: 'meanSquaredError' });
    const train = (targets: Float32Array) => model.fit({ inputs: good.inputs, targets });
    await expect(train(new Float32Array(4))).rejects.toEqual(failure('ERR_SHAPE', /12 elements \(3 per sample\)/));
    const targets = new Float32Array(12).with(7, Number.NaN);
    await expect(train(targets)).rejects.toEqual(failure('ERR_DATA', /targets\[7\] \(sample 2\), received NaN/));
  });

  it.each([
    [{ epochs: 0 }, /for epochs/],
    [{ batchSize: 0 }, /for batchSize/],
    [{ batchSize: 1.5 }, /for batchSize/],
    [{ batchsize: 8 }, /Did you mean "batchSize"/],
    [{ shuffle: 'yes' }, /for shuffle/],
    [{ signal: {} }, /an AbortSignal for signal/],
    [{ onProgress: true }, /a function for onProgress/],
    [{ callback: [] }, /"callback"/],
    [{ callbacks: {} }, /a list of callbacks/],
    [{ callbacks: [{ onEpochsEnd() {} }] }, /onEpochEnd.*a function of callbacks\[0\], received "onEpochsEnd"/],
    [{ callbacks: [{ onEpochEnd: 1 }] }, /a function for callbacks\[0\]\.onEpochEnd/],
  ])('options %j are refused', async (options, message) => {
    await expect(classifier().fit(good, options as never)).rejects.toEqual(failure('ERR_ARGUMENT', message));
  });
});

it('frees its copies of the data, whichever way it ends', async () => {
  let bound = 0;
  const counting: Backend = {
    ...backend,
    *bind(samples) {
      const copy = yield* backend.bind(samples);
      bound++;
      return {
        count: copy.count,
        hasClasses: copy.hasClasses,
        dispose: () => {
          bound--;
          copy.dispose();
        },
      };
    },
  };
  const model = classifier({ backend: counting });
  const refused = failure('ERR_ARGUMENT', /bound by the same backend/);
  const validationData = separable(5);
  // The copy is not one of the backend's own kind, so that every run fails.
  await expect(model.fit(separable(5), { validationData })).rejects.toEqual(refused);
  await expect(model.evaluate(separable(5))).rejects.toEqual(refused);
  expect(bound).toBe(0);
});

it('takes plain arrays, flat shapes, and a batch greater than the data', async () => {
  const data = separable(6);
  const plain = { inputs: Array.from(data.inputs, (pixel) => Math.fround(pixel / 255)), targets: [...data.targets] };
  const [a, b] = [classifier(), classifier()];
  await a.fit({ ...data, shape: [4] }, { batchSize: 1e9 });
  await b.fit(plain, { batchSize: 6 });
  expect(a.weightsSha256()).toBe(b.weightsSha256());
});

it('takes class names over from the data', async () => {
  const classNames = ['a', 'b', 'c'];
  const model = classifier();
  await model.fit({ ...separable(6), classNames });
  expect(model.classNames).toEqual(classNames);
  const named = sequential(softmaxLayers(), { inputShape: [4], classNames: ['x', 'y', 'z'], backend });
  named.compile({ optimizer: 'sgd', loss: 'categoricalCrossentropy' });
  await named.fit({ ...separable(6), classNames });
  expect(named.classNames).toEqual(['x', 'y', 'z']);
});

describe('evaluate', () => {
  it('does not change the weights, and gives the same for any batch size', async () => {
    const model = classifier();
    const before = model.weightsSha256();
    const data = separable(50);
    const [a, b] = [await model.evaluate(data, { batchSize: 7 }), await model.evaluate(data)];
    expect(a.accuracy).toBe(b.accuracy);
    expect(Math.abs(a.loss - b.loss)).toBeLessThan(50 * 2 ** -50);
    expect(model.weightsSha256()).toBe(before);
  });

  it('rejects when aborted', async () => {
    const evaluation = classifier().evaluate(separable(5), { signal: AbortSignal.abort() });
    await expect(evaluation).rejects.toEqual(failure('ERR_ABORTED', /Evaluation was aborted/));
  });

  it('refuses unknown options', async () => {
    const evaluation = classifier().evaluate(separable(5), { batch: 3 } as never);
    await expect(evaluation).rejects.toEqual(failure('ERR_ARGUMENT', /"batch"/));
  });
});
