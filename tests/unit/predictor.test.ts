import { describe, expect, it } from 'vitest';
import {
  adam,
  dense,
  type MnistTrainError,
  openPredictor,
  type Sequential,
  type SharedModel,
  sequential,
  sgd,
} from '../../src/index.js';
import { availableBackends, titleOf } from '../helpers/backends.js';
import { classifier, errorOf, failure, separable } from '../helpers/toy.js';

const data = separable(60);

describe.each(availableBackends().map((backend) => ({ title: titleOf(backend), backend })))(
  'a snapshot with $title',
  ({ backend }) => {
    const make = (): Sequential => classifier({ backend });

    it('predicts as the model does, in every way of asking', async () => {
      const model = make();
      await model.fit(data, { epochs: 2 });
      const predictor = model.snapshot();
      const wanted = model.predictSync(data);
      expect(predictor.predictSync(data)).toEqual(wanted);
      expect(await predictor.predict(data)).toEqual(wanted);
      expect(await predictor.predict(data, { signal: new AbortController().signal })).toEqual(wanted);
      const output = new Float32Array(3);
      expect(predictor.predictSync(data.inputs.subarray(0, 4), output)).toBe(output);
      expect(output).toEqual(wanted.slice(0, 3));
      expect(predictor.weightsSha256()).toBe(model.weightsSha256());
      expect(predictor.getWeights()).toEqual(model.getWeights());
    });

    it('stays as it is when the model goes on, is written to and disposed of', async () => {
      const model = make();
      const predictor = model.snapshot();
      const before = predictor.predictSync(data);
      await model.fit(data, { epochs: 1 });
      model.setWeights(model.getWeights().map((values) => values.fill(0)));
      model.dispose();
      expect(predictor.predictSync(data)).toEqual(before);
    });

    it('taken in the middle of a run holds the weights of a whole step', async () => {
      const steps = 6;
      const options = { epochs: 1, batchSize: 10, shuffle: false };
      // Every weight of a step, from a model that is looked at behind each of them.
      const seen: string[] = [];
      const slow = make();
      seen.push(slow.weightsSha256());
      await slow.fit(data, {
        ...options,
        callbacks: [{ onTrainBatchEnd: () => void seen.push(slow.weightsSha256()) }],
      });
      expect(new Set(seen).size).toBe(steps + 1);
      const model = make();
      const taken: string[] = [];
      const running = model.fit(data, {
        ...options,
        epochs: 1,
        onProgress: () => void taken.push(model.snapshot().weightsSha256()),
      });
      taken.push(model.snapshot().weightsSha256());
      await running;
      taken.push(model.snapshot().weightsSha256());
      expect(taken.length).toBeGreaterThan(2);
      for (const hash of taken) expect(seen).toContain(hash);
      expect(taken.at(-1)).toBe(seen.at(-1));
    });

    it('has every weight of a large model, which several threads publish', async () => {
      for (const threads of [1, 2, 3]) {
        const layers = [dense({ units: 400 }), dense({ units: 701 }), dense({ units: 10, activation: 'softmax' })];
        const model = sequential(layers, { inputShape: [784], seed: 1, backend, threads });
        model.compile({ optimizer: 'adam', loss: 'categoricalCrossentropy' });
        const inputs = Float32Array.from({ length: 8 * 784 }, (_, index) => (index % 97) / 97);
        await model.fit({ inputs, targets: Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7) }, { batchSize: 4 });
        expect(model.snapshot().weightsSha256()).toBe(model.weightsSha256());
      }
    });

    it('shows the averages where the optimizer keeps some', async () => {
      const model = classifier({ backend, optimizer: sgd({ learningRate: 0.5, useEma: true, emaMomentum: 0.9 }) });
      await model.fit(data, { epochs: 3 });
      expect(model.snapshot().weightsSha256()).toBe(model.weightsSha256());
      expect(model.snapshot().predictSync(data)).toEqual(model.predictSync(data));
    });

    it('opens elsewhere from what was cloned, without copying the shared weights', () => {
      const predictor = make().snapshot();
      const { shared } = structuredClone({ shared: predictor.shared });
      new Uint8Array(shared.weights)[0] ^= 1;
      expect(new Uint8Array(predictor.shared.weights)[0]).toBe(new Uint8Array(shared.weights)[0]);
      new Uint8Array(shared.weights)[0] ^= 1;
      const other = openPredictor(shared, { backend });
      expect(other.predictSync(data)).toEqual(predictor.predictSync(data));
      expect(other.backend.threads).toBe(1);
    });
  },
);

describe('a predictor', () => {
  it('has what describes the model', () => {
    const model = sequential([dense({ units: 3, activation: 'softmax' })], {
      inputShape: [2, 2, 1],
      name: 'small',
      classNames: ['a', 'b', 'c'],
      backend: 'js',
    });
    const { name, inputShape, outputShape, outputActivation, classNames, layers, metadata } = model.snapshot();
    expect({ name, inputShape, outputShape, outputActivation, classNames, layers, metadata }).toEqual({
      name: 'small',
      inputShape: [2, 2, 1],
      outputShape: [3],
      outputActivation: 'softmax',
      classNames: ['a', 'b', 'c'],
      layers: model.layers,
      metadata: {},
    });
  });

  it('lets predictions in flight end when it is disposed of, and refuses new ones', async () => {
    const predictor = classifier().snapshot();
    const large = separable(9000);
    const wanted = predictor.predictSync(large);
    const { signal } = new AbortController();
    const running = [predictor.predict(large), predictor.predict(large, { signal })];
    predictor.dispose();
    predictor.dispose();
    for (const values of await Promise.all(running)) expect(values).toEqual(wanted);
    expect(() => predictor.predictSync(data)).toThrow(failure('ERR_STATE', /disposed/));
    await expect(predictor.predict(data)).rejects.toThrow(failure('ERR_STATE', /disposed/));
    expect(openPredictor(predictor.shared, { backend: 'js' }).predictSync(large)).toEqual(wanted);
  });

  it('refuses wrong inputs and aborted signals as models do', async () => {
    const predictor = classifier().snapshot();
    expect(() => predictor.predictSync(new Float32Array(5))).toThrow(failure('ERR_SHAPE', /multiple of 4/));
    await expect(predictor.predict(data, { signal: AbortSignal.abort('no') })).rejects.toThrow(
      failure('ERR_ABORTED', /Prediction was aborted/),
    );
  });

  it('is not taken from a model that was disposed of', () => {
    const model = classifier({ optimizer: adam() });
    model.dispose();
    expect(() => model.snapshot()).toThrow(failure('ERR_STATE', /disposed/));
    expect(() => classifier().snapshot({ treads: 1 } as never)).toThrow(failure('ERR_ARGUMENT', /treads/));
  });
});

describe('openPredictor refuses', () => {
  const { shared } = classifier().snapshot();
  const refused = (change: Partial<Record<keyof SharedModel, unknown>>) =>
    errorOf(() => openPredictor({ ...shared, ...change } as never)) as MnistTrainError;

  it('what is no shared model', () => {
    expect(refused({ config: null })).toMatchObject({ code: 'ERR_ARGUMENT', message: /shared\.config/ });
    expect(refused({ config: { ...shared.config, formatVersion: 9 } }).message).toMatch(/formatVersion, received 9/);
    expect(refused({ metadata: 'x' }).message).toMatch(/shared\.metadata/);
    expect(refused({ model: 1 } as never).message).toMatch(/config, metadata, weights/);
    expect(() => openPredictor(undefined as never)).toThrow(failure('ERR_ARGUMENT', /shared\.config/));
  });

  it('weights that are too few or not shared', () => {
    const message = /SharedArrayBuffer of \d+ bytes for shared\.weights/;
    expect(refused({ weights: new SharedArrayBuffer(8) })).toMatchObject({ code: 'ERR_SHAPE' });
    expect(refused({ weights: new SharedArrayBuffer(8) }).message).toMatch(message);
    expect(refused({ weights: new ArrayBuffer(shared.weights.byteLength) }).message).toMatch(message);
  });
});
