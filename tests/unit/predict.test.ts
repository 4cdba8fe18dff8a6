import { describe, expect, it } from 'vitest';
import { dense, sequential } from '../../src/index.js';
import { backend, backendWith, classifier, errorOf, failure, separable } from '../helpers/toy.js';

describe('predict', () => {
  it('gives [count, outputs], the same bits in every way of asking', async () => {
    const model = classifier();
    const data = separable(700);
    const wanted = model.predictSync(data.inputs);
    expect(wanted).toHaveLength(2100);
    const scaled = Float32Array.from(data.inputs, (pixel) => Math.fround(pixel / 255));
    expect(await model.predict(data.inputs)).toEqual(wanted);
    expect(await model.predict(data)).toEqual(wanted);
    expect(await model.predict(scaled)).toEqual(wanted);
    expect(await model.predict([...scaled])).toEqual(wanted);
    expect(model.predictSync(scaled.subarray(4 * 10, 4 * 11))).toEqual(wanted.slice(30, 33));
    const output = new Float32Array(3);
    expect(model.predictSync(data.inputs.subarray(0, 4), output)).toBe(output);
    expect(output).toEqual(wanted.slice(0, 3));
  });

  it('gives probabilities after softmax', () => {
    const probabilities = classifier().predictSync(separable(1));
    const sum = probabilities.reduce((total, value) => total + value, 0);
    // Three float32 numbers of at most 1, each a few roundings off.
    expect(Math.abs(sum - 1)).toBeLessThan(8 * 2 ** -24);
    expect(Math.min(...probabilities)).toBeGreaterThan(0);
  });

  it('uses the weights that were set last', async () => {
    const model = sequential([dense({ units: 1 })], { inputShape: [2], backend });
    for (const factor of [1, 2]) {
      model.setWeights([Float32Array.of(factor, 1), Float32Array.of(0.5)]);
      expect([...model.predictSync([3, 4])]).toEqual([3 * factor + 4.5]);
      expect([...(await model.predict([3, 4]))]).toEqual([3 * factor + 4.5]);
    }
  });

  it('answers a request that began before a training session replaced its own, then frees that one', async () => {
    const disposed: string[] = [];
    let sessions = 0;
    const slow = backendWith((session) => {
      const name = `session ${++sessions}`;
      const [infer, dispose] = [session.infer.bind(session), session.dispose.bind(session)];
      session.infer = async (inputs) => {
        while (sessions < 2) await new Promise((resolve) => setImmediate(resolve));
        return infer(inputs);
      };
      session.dispose = () => {
        disposed.push(name);
        dispose();
      };
    });
    const model = classifier({ backend: slow });
    const data = separable(50);
    const before = model.predictSync(data);
    const [predicted] = await Promise.all([model.predict(data), model.fit(separable(10))]);
    expect(predicted).toEqual(before);
    expect(disposed).toEqual(['session 1']);
    expect(model.predictSync(data)).not.toEqual(before);
  });

  it('stops between portions when aborted', async () => {
    const model = classifier();
    const data = separable(10_000);
    expect(await model.predict(data, { signal: new AbortController().signal })).toEqual(model.predictSync(data));
    const aborted = failure('ERR_ABORTED', /Prediction was aborted/);
    await expect(model.predict(data, { signal: AbortSignal.abort() })).rejects.toEqual(aborted);
    const controller = new AbortController();
    const running = model.predict(data, { signal: controller.signal });
    controller.abort();
    await expect(running).rejects.toEqual(aborted);
  });

  it.each<[unknown, RegExp, 'ERR_ARGUMENT' | 'ERR_SHAPE']>([
    [undefined, /for inputs, received undefined/, 'ERR_ARGUMENT'],
    ['image', /for inputs, received "image"/, 'ERR_ARGUMENT'],
    [new Float64Array(4), /for inputs, received Float64Array/, 'ERR_ARGUMENT'],
    [[1, 2, 3, 'x'], /a number for inputs\[3\], received "x"/, 'ERR_ARGUMENT'],
    [new Uint8Array(0), /a multiple of 4 numbers/, 'ERR_SHAPE'],
    [new Float32Array(7), /a multiple of 4 numbers/, 'ERR_SHAPE'],
  ])('refuses %s', async (inputs, message, code) => {
    const model = classifier();
    expect(errorOf(() => model.predictSync(inputs as never))).toEqual(failure(code, message));
    await expect(model.predict(inputs as never)).rejects.toEqual(failure(code, message));
  });

  it('refuses an output of another size and unknown options', async () => {
    const model = classifier();
    const output = () => model.predictSync(new Uint8Array(4), new Float32Array(4));
    expect(errorOf(output)).toEqual(failure('ERR_SHAPE', /a Float32Array of 3 elements for output/));
    const unknown = model.predict(new Uint8Array(4), { batchSize: 4 } as never);
    await expect(unknown).rejects.toEqual(failure('ERR_ARGUMENT', /"batchSize"/));
  });
});
