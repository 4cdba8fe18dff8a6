import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { adam, dense, flatten, sequential } from '../../src/index.js';
import { backend, classifier, errorOf, failure, historyOf, separable, softmaxLayers } from '../helpers/toy.js';

describe('sequential', () => {
  it('puts a flatten before a dense layer that meets an image, and does not count it', () => {
    const model = sequential(softmaxLayers(), { inputShape: [2, 2, 1] });
    expect(model.inputShape).toEqual([2, 2, 1]);
    expect(model.outputShape).toEqual([3]);
    expect(model.layers.map(({ type }) => type)).toEqual(['dense', 'dense']);
    const explicit = sequential([flatten(), ...softmaxLayers()], { inputShape: [2, 2, 1] });
    expect(explicit.countParameters()).toBe(model.countParameters());
    const parameters = (each: typeof model) =>
      each.program().buffers.flatMap(({ role, name }) => (role === 'parameter' ? [name] : []));
    expect(parameters(model)).toEqual(['0.weight', '0.bias', '1.weight', '1.bias']);
    expect(parameters(explicit)).toEqual(['1.weight', '1.bias', '2.weight', '2.bias']);
  });

  it('may hold one description twice, with weights of their own', () => {
    const twice = dense({ units: 2 });
    const [first, , second] = sequential([twice, twice], { inputShape: [2] }).getWeights();
    expect(first).not.toEqual(second);
  });

  it('starts from the seed alone', () => {
    const weights = (seed?: number) => sequential(softmaxLayers(), { inputShape: [4], seed }).weightsSha256();
    expect(weights(42)).toBe(weights(42));
    expect(weights(42)).not.toBe(weights(43));
    expect(weights()).toBe(weights(0));
  });

  it.each<[() => unknown, RegExp]>([
    [() => sequential([], { inputShape: [4] }), /a list of at least one layer for layers/],
    [() => sequential([flatten()], { inputShape: [4] }), /at least one layer with weights/],
    [() => sequential([{ units: 3 }] as never, { inputShape: [4] }), /a layer, such as dense.*for layer 0/],
    [() => sequential(softmaxLayers(), {} as never), /for inputShape, received undefined/],
    [() => sequential(softmaxLayers(), { inputShape: [] }), /for inputShape/],
    [() => sequential(softmaxLayers(), { inputShape: [4, 0] }), /inputShape\[1\], received 0/],
    [() => sequential(softmaxLayers(), { inputShape: 784 as never }), /for inputShape, received 784/],
    [() => sequential(softmaxLayers(), { inputShape: [4], seed: -1 }), /for seed, received -1/],
    [() => sequential(softmaxLayers(), { inputShape: [4], name: '' }), /for name/],
    [() => sequential(softmaxLayers(), { inputShape: [4], classNames: ['a', 'b'] }), /3 words, one per output/],
    [() => sequential(softmaxLayers(), { inputShape: [4], backend: 'gpu' as never }), /auto, native, js for backend/],
    [() => sequential(softmaxLayers(), { inputShape: [4], backend: null as never }), /for backend, received null/],
    [() => sequential(softmaxLayers(), { inputShape: [4], threads: 0 }), /for threads, received 0/],
    [() => sequential(softmaxLayers(), { inputShape: [4], inputshape: [4] } as never), /Did you mean "inputShape"/],
  ])('refuses wrong use: %s', (make, message) => {
    expect(errorOf(make)).toEqual(failure('ERR_ARGUMENT', message));
  });
});

describe('weights', () => {
  it('are copies in Keras layout, and what is set is what is got, before and after a session is open', async () => {
    const model = classifier();
    const weights = model.getWeights();
    expect(weights.map(({ length }) => length)).toEqual([20, 5, 15, 3]);
    for (const opened of [false, true]) {
      if (opened) await model.predict(new Uint8Array(4));
      const changed = weights.map((values, index) => values.map((value) => value + index + Number(opened)));
      model.setWeights(changed);
      expect(model.getWeights()).toEqual(changed);
      model.getWeights()[0].fill(9);
      changed[0][0] = 8;
      expect(model.getWeights()[0]).not.toContain(9);
      expect(model.getWeights()[0]).not.toContain(8);
    }
  });

  it('hash as their bytes in order', () => {
    const model = classifier();
    const bytes = Buffer.concat(model.getWeights().map((values) => Buffer.from(values.buffer)));
    expect(model.weightsSha256()).toBe(createHash('sha256').update(bytes).digest('hex'));
  });

  it.each<[(weights: Float32Array[]) => unknown, RegExp, 'ERR_SHAPE' | 'ERR_DATA']>([
    [(weights) => weights.slice(1), /a list of 4 arrays/, 'ERR_SHAPE'],
    [
      (weights) => [weights[2], weights[1], weights[0], weights[3]],
      /\[4, 5\] for weights\[0\] \(0\.weight\)/,
      'ERR_SHAPE',
    ],
    [(weights) => [[...weights[0]], ...weights.slice(1)], /for weights\[0\]/, 'ERR_SHAPE'],
    [
      (weights) => [...weights.slice(0, 3), Float32Array.of(0, 0, Number.NaN)],
      /weights\[3\]\[2\], received NaN/,
      'ERR_DATA',
    ],
  ])('are checked whole before any is set', (change, message, code) => {
    const model = classifier();
    const before = model.weightsSha256();
    const wrong = change(model.getWeights().map((values) => values.map(() => 1))) as Float32Array[];
    expect(errorOf(() => model.setWeights(wrong))).toEqual(failure(code, message));
    expect(model.weightsSha256()).toBe(before);
  });
});

describe('compile', () => {
  it('is needed for fit and evaluate, not for predict', async () => {
    const model = sequential(softmaxLayers(), { inputShape: [4], backend });
    const data = separable(4);
    await expect(model.fit(data)).rejects.toEqual(failure('ERR_STATE', /compile.*before fit/));
    await expect(model.evaluate(data)).rejects.toEqual(failure('ERR_STATE', /compile.*before evaluate/));
    expect(model.predictSync(data)).toHaveLength(12);
  });

  it('again keeps the weights and starts the optimizer anew', async () => {
    const data = separable(30);
    const model = classifier();
    await model.fit(data, { shuffle: false });
    const trained = model.getWeights();
    model.compile({ optimizer: 'adam', loss: 'categoricalCrossentropy' });
    expect(model.getWeights()).toEqual(trained);
    await model.fit(data, { shuffle: false });

    const fresh = classifier();
    fresh.setWeights(trained);
    await fresh.fit(data, { shuffle: false });
    expect(model.weightsSha256()).toBe(fresh.weightsSha256());
  });

  it('refuses unknown options and a missing loss, and leaves the model as it was', async () => {
    const model = classifier();
    const wrong = [
      [{ optimizer: 'adam', loss: 'categoricalCrossentropy', metric: ['accuracy'] }, /"metric"/],
      [{ optimizer: 'adam' }, /for loss, received undefined/],
      [undefined, /for optimizer, received undefined/],
      [{ optimizer: adam, loss: 'meanSquaredError' }, /for optimizer, received a function/],
    ] as const;
    for (const [options, message] of wrong) {
      expect(errorOf(() => model.compile(options as never))).toEqual(failure('ERR_ARGUMENT', message));
    }
    await model.fit(separable(4));
  });
});

describe('dispose', () => {
  it('ends every use of the weights, twice is fine, and shape questions are still answered', async () => {
    const model = classifier();
    await model.predict(new Uint8Array(4));
    model.dispose();
    model[Symbol.dispose]();
    const gone = failure('ERR_STATE', /disposed of/);
    expect(errorOf(() => model.getWeights())).toEqual(gone);
    expect(errorOf(() => model.predictSync(new Uint8Array(4)))).toEqual(gone);
    await expect(model.predict(new Uint8Array(4))).rejects.toEqual(gone);
    await expect(model.fit(separable(4))).rejects.toEqual(gone);
    expect(model.summary()).toContain('43 parameters');
  });

  it('ends a running fit as an abort does', async () => {
    const model = classifier();
    const history = await historyOf(
      model.fit(separable(3000), {
        epochs: 1e5,
        batchSize: 1,
        onEpochEnd: () => model.dispose(),
      }),
    );
    expect(history).toMatchObject({ stopped: 'aborted', epochs: [{ epoch: 1 }] });
    const other = classifier();
    const running = historyOf(
      other.fit(separable(3000), { epochs: 1e5, batchSize: 1, onProgress: () => other.dispose() }),
    );
    expect((await running).stopped).toBe('aborted');
    const third = classifier();
    const validated = historyOf(third.fit(separable(5), { validationSplit: 0.4, onProgress: () => third.dispose() }));
    expect((await validated).stopped).toBe('aborted');
    const fourth = classifier();
    const [fitted, evaluation] = [historyOf(fourth.fit(separable(5))), fourth.evaluate(separable(5))];
    fourth.dispose();
    await expect(evaluation).rejects.toEqual(failure('ERR_ABORTED', /Evaluation was aborted/));
    expect((await fitted).stopped).toBe('aborted');
  });
});

it('tells where it runs', () => {
  expect(classifier().backend).toEqual({ name: 'js', isa: null, threads: 1 });
});
