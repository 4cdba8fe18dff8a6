import { describe, expect, it } from 'vitest';
import { availableBackends, titleOf } from '../helpers/backends.js';
import { classifier, failure, separable } from '../helpers/toy.js';

/** Buffers that JavaScript moves, shrinks or shares while they are in use. */

const data = separable(40);

const shared = (values: Uint8Array): Uint8Array => {
  const copy = new Uint8Array(new SharedArrayBuffer(values.length));
  copy.set(values);
  return copy;
};

/** A view that follows the length of its buffer, and the buffer. */
function resizable(values: Uint8Array): { view: Uint8Array; buffer: ArrayBuffer } {
  const options = { maxByteLength: 2 * values.length };
  const buffer = new (ArrayBuffer as new (length: number, options: object) => ArrayBuffer)(values.length, options);
  const view = new Uint8Array(buffer);
  view.set(values);
  return { view, buffer };
}

const resize = (buffer: ArrayBuffer, length: number) =>
  (buffer as ArrayBuffer & { resize(length: number): void }).resize(length);

const detach = (values: Uint8Array) => structuredClone(values.buffer, { transfer: [values.buffer as ArrayBuffer] });

describe.each(availableBackends().map((backend) => ({ title: titleOf(backend), backend })))('$title', ({ backend }) => {
  it('takes shared and resizable buffers as it takes others', async () => {
    const plain = classifier({ backend });
    await plain.fit(data, { epochs: 2 });
    const wanted = plain.predictSync(data);
    for (const inputs of [shared(data.inputs as Uint8Array), resizable(data.inputs as Uint8Array).view]) {
      const model = classifier({ backend });
      await model.fit({ ...data, inputs, targets: shared(data.targets as Uint8Array) }, { epochs: 2 });
      expect(model.weightsSha256()).toBe(plain.weightsSha256());
      expect(model.predictSync(inputs)).toEqual(wanted);
      expect(await model.predict(inputs)).toEqual(wanted);
      expect(await model.evaluate({ ...data, inputs })).toEqual(await plain.evaluate(data));
    }
  });

  it('writes answers into shared memory', () => {
    const model = classifier({ backend });
    const output = new Float32Array(new SharedArrayBuffer(4 * 3 * data.count));
    expect(model.predictSync(data, output)).toBe(output);
    expect([...output]).toEqual([...model.predictSync(data)]);
  });

  it('is not disturbed by what becomes of a buffer after the call', async () => {
    const model = classifier({ backend });
    const wanted = classifier({ backend });
    await wanted.fit(data, { epochs: 3 });
    const moved = Uint8Array.from(data.inputs);
    const training = model.fit({ ...data, inputs: moved }, { epochs: 3 });
    detach(moved);
    await training;
    expect(model.weightsSha256()).toBe(wanted.weightsSha256());
    const { view, buffer } = resizable(data.inputs as Uint8Array);
    const predicting = [model.predict(view), model.predict(view)];
    resize(buffer, 8);
    const answers = wanted.predictSync(data);
    for (const predicted of await Promise.all(predicting)) expect(predicted).toEqual(answers);
  });

  it('refuses buffers that were detached or became too short, by argument', async () => {
    const model = classifier({ backend });
    const gone = Uint8Array.from(data.inputs);
    detach(gone);
    const { view, buffer } = resizable(data.inputs as Uint8Array);
    resize(buffer, 6);
    for (const inputs of [gone, view]) {
      const refused = failure('ERR_SHAPE', /multiple of 4/);
      expect(() => model.predictSync(inputs)).toThrow(refused);
      await expect(model.predict(inputs)).rejects.toThrow(refused);
      await expect(model.fit({ ...data, inputs })).rejects.toThrow(refused);
      await expect(model.evaluate({ ...data, inputs })).rejects.toThrow(refused);
    }
    const weights = model.getWeights();
    structuredClone(weights[0].buffer, { transfer: [weights[0].buffer as ArrayBuffer] });
    expect(() => model.setWeights(weights)).toThrow(failure('ERR_SHAPE', /weights\[0\]/));
  });

  it('predicts with a signal, in portions, on what the buffer held at the call', async () => {
    const model = classifier({ backend });
    const { view, buffer } = resizable(Uint8Array.from({ length: 4 * 5000 }, (_, i) => i % 251));
    const { signal } = new AbortController();
    const wanted = model.predictSync(view.slice());
    const predicting = model.predict(view, { signal });
    resize(buffer, 4 * 40);
    expect(await predicting).toEqual(wanted);
  });
});
