/**
 * The addon by itself, called as only a bug in TypeScript would call it: it throws, and memory stays what it is.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { NativeData, NativeSession } from '../../src/backends/native/addon.js';
import { encodeProgram } from '../../src/backends/native/encode.js';
import { requireAddon } from '../../src/backends/native/load.js';
import { dense } from '../../src/index.js';
import { planMemory } from '../../src/program/plan.js';
import { opsOf } from '../helpers/lowering.js';

const addon = requireAddon();
const [isa] = addon.instructionSets;
const INPUTS = 6;
const CLASSES = 3;
const { program } = opsOf([dense({ units: CLASSES, activation: 'softmax' })], [INPUTS]);
const layout = planMemory(program);
const WORDS = encodeProgram(program, layout, addon.operations);
const indexOf = (name: string) => layout.buffers.get(name)!.index;
const WEIGHTS = indexOf('0.weight');
const OUTSIDE = program.buffers.length;

/** What a test hands over in the place of something else. */
// biome-ignore lint/suspicious/noExplicitAny: the point is that the types are wrong.
const wrong = (value: unknown) => value as any;
const NUMBERS = [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 60, '1', null, undefined, {}, 1n];

function newData(count = 4): NativeData {
  return new addon.Data(count, INPUTS, true, count * INPUTS, 1, true);
}

let session: NativeSession;
let data: NativeData;
beforeEach(() => {
  session = new addon.Session(WORDS, isa, 1);
  data = newData();
  data.append(new Uint8Array(4 * INPUTS).fill(7), new Int32Array(4));
});
afterEach(() => {
  session.dispose();
  data.dispose();
});

describe('new Session', () => {
  it.each([
    [[...WORDS], isa, 1],
    [new Float32Array(WORDS), isa, 1],
    [undefined, isa, 1],
    [WORDS, 7, 1],
    ...NUMBERS.concat(0, 257).map((threads) => [WORDS, isa, threads]),
  ])('takes no other types: %#', (words, set, threads) => {
    expect(() => new addon.Session(wrong(words), wrong(set), wrong(threads))).toThrow(TypeError);
  });

  it('takes no instruction set that is not there, and no words that are no program', () => {
    expect(() => new addon.Session(WORDS, 'mmx', 1)).toThrow(RangeError);
    expect(() => new addon.Session(WORDS.subarray(1), isa, 1)).toThrow(RangeError);
    expect(() => new addon.Session(new Float64Array(0), isa, 1)).toThrow(/not sound/);
  });

  it('is a class', () => {
    expect(() => wrong(addon.Session)(WORDS, isa, 1)).toThrow(TypeError);
  });
});

describe('buffers of a session', () => {
  it.each(NUMBERS.concat(OUTSIDE))('neither reads nor writes buffer %s', (buffer) => {
    const values = new Float32Array(INPUTS * CLASSES);
    expect(() => session.read(wrong(buffer), 0, values)).toThrow(RangeError);
    expect(() => session.write(wrong(buffer), 0, values)).toThrow(RangeError);
  });

  it.each(NUMBERS.concat(INPUTS + 1))('neither reads nor writes from row %s', (row) => {
    const values = new Float32Array(CLASSES);
    expect(() => session.read(WEIGHTS, wrong(row), values)).toThrow(RangeError);
    expect(() => session.write(WEIGHTS, wrong(row), values)).toThrow(RangeError);
  });

  it('reads and writes whole rows that are there, into floats', () => {
    for (const [row, length] of [
      [0, CLASSES - 1],
      [0, (INPUTS + 1) * CLASSES],
      [INPUTS - 1, 2 * CLASSES],
    ]) {
      expect(() => session.read(WEIGHTS, row, new Float32Array(length))).toThrow('Expected whole rows of the buffer');
      expect(() => session.write(WEIGHTS, row, new Float32Array(length))).toThrow('Expected whole rows of the buffer');
    }
    for (const values of [new Float64Array(CLASSES), [1, 2, 3], undefined, new DataView(new ArrayBuffer(12))]) {
      expect(() => session.read(WEIGHTS, 0, wrong(values))).toThrow(TypeError);
      expect(() => session.write(WEIGHTS, 0, wrong(values))).toThrow(TypeError);
    }
    const last = Float32Array.of(1, 2, 3);
    session.write(WEIGHTS, INPUTS - 1, last);
    const all = new Float32Array(INPUTS * CLASSES);
    session.read(WEIGHTS, 0, all);
    expect([...all]).toEqual([...new Float32Array((INPUTS - 1) * CLASSES), ...last]);
  });

  it('shows published parameters alone, all of them', () => {
    const room = new Float32Array(INPUTS * CLASSES);
    const input = indexOf('train/inputs');
    expect(() => session.readPublished(wrong([WEIGHTS]), room)).toThrow(TypeError);
    expect(() => session.readPublished(Uint32Array.of(WEIGHTS), wrong([...room]))).toThrow(TypeError);
    expect(() => session.readPublished(Uint32Array.of(OUTSIDE), room)).toThrow('Expected parameters');
    expect(() => session.readPublished(Uint32Array.of(input), room)).toThrow('Expected parameters');
    expect(() => session.readPublished(Uint32Array.of(WEIGHTS), room.subarray(1))).toThrow('as many values');
  });

  it.each(NUMBERS.concat(0).filter((value) => value !== 2 ** 60))('publishes no %s bytes', (bytes) => {
    expect(() => session.publish(wrong(bytes))).toThrow(TypeError);
  });
});

describe('a run', () => {
  const SCALARS = new Float32Array(program.scalars.length);
  const order = Uint32Array.of(0, 1, 2, 3);
  const begin = (changes: Record<number, unknown> = {}) => {
    const args: unknown[] = [0, data, order, 4, SCALARS, 0, false];
    for (const [place, value] of Object.entries(changes)) args[Number(place)] = value;
    return wrong(session).begin(...args);
  };

  it.each([
    { 0: 2 },
    { 0: '0' },
    { 1: undefined },
    { 1: {} },
    { 1: { dispose() {} } },
    { 2: [0, 1] },
    { 2: new Int32Array(4) },
    { 3: 0 },
    { 3: 2 ** 31 },
    { 4: [] },
    { 4: new Float64Array(SCALARS.length) },
    { 5: -1 },
    { 5: 2 ** 32 },
    { 6: 1 },
  ])('takes no other types: %o', (changes) => {
    expect(() => begin(changes)).toThrow(TypeError);
  });

  it.each([{ 2: Uint32Array.of(0, 4) }, { 3: 21 }, { 4: new Float32Array(SCALARS.length + 1) }, { 1: null }])(
    'needs samples and numbers that are there: %o',
    (changes) => {
      expect(() => begin(changes)).toThrow(RangeError);
    },
  );

  it('takes no other object for data, nor data for a session', () => {
    const disposed = newData();
    disposed.dispose();
    for (const other of [session, disposed]) expect(() => begin({ 1: other })).toThrow('data that are not disposed');
    const { read } = addon.Session.prototype;
    expect(() => read.call(wrong(data), WEIGHTS, 0, new Float32Array(CLASSES))).toThrow();
    expect(() => read.call(wrong({}), WEIGHTS, 0, new Float32Array(CLASSES))).toThrow();
  });

  it('is one at a time, and left alone while it is advanced', async () => {
    await expect(async () => session.advance(1)).rejects.toThrow('no run to advance');
    expect(() => session.metrics()).toThrow('There is no run');
    expect(begin()).toBe(1);
    expect(() => begin()).toThrow('A run is in flight');
    for (const time of ['1', null, undefined]) expect(() => session.advance(wrong(time))).toThrow(TypeError);
    for (const time of [-1, Number.NaN, 1e7]) expect(() => session.advance(time)).toThrow(RangeError);
    const steps = session.advance(50);
    const values = new Float32Array(CLASSES);
    for (const use of [
      () => session.advance(1),
      () => session.metrics(),
      () => session.finish(),
      () => session.read(WEIGHTS, 0, values),
      () => session.write(WEIGHTS, 0, values),
      () => session.publish(1),
      () => session.parametersAreFinite(),
    ]) {
      expect(use).toThrow(/being advanced/);
    }
    expect(await steps).toBe(1);
    expect(session.metrics()).toHaveLength(2);
    session.finish();
    session.cancel();
  });
});

describe('inference', () => {
  it.each([
    [new Float64Array(INPUTS), TypeError],
    [[1, 2], TypeError],
    [undefined, TypeError],
    [new Float32Array(0), RangeError],
    [new Float32Array(INPUTS + 1), RangeError],
    [new Uint8Array(INPUTS - 1), RangeError],
  ])('takes whole samples: %#', (inputs, error) => {
    expect(() => session.infer(wrong(inputs))).toThrow(error);
    expect(() => session.inferSync(wrong(inputs), new Float32Array(CLASSES))).toThrow(error);
  });

  it.each([new Float32Array(CLASSES - 1), new Float32Array(2 * CLASSES), new Float64Array(CLASSES), undefined])(
    'writes into room of its size alone: %#',
    (outputs) => {
      expect(() => session.inferSync(new Float32Array(INPUTS), wrong(outputs))).toThrow(RangeError);
    },
  );

  it('needs a section for it', () => {
    const { infer: _, ...sections } = program.sections;
    const buffers = program.buffers.filter(({ section }) => section !== 'infer');
    const without = { ...program, sections, buffers };
    const other = new addon.Session(encodeProgram(without, planMemory(without), addon.operations), isa, 1);
    expect(() => other.infer(new Float32Array(INPUTS))).toThrow('no infer section');
    other.dispose();
  });
});

describe('data', () => {
  it.each([
    [0, INPUTS, true, 0, 1, true],
    [2 ** 32, INPUTS, true, 0, 1, true],
    [4, 0, true, 0, 1, true],
    [4, 1.5, true, 0, 1, true],
    [4, INPUTS, 1, 0, 1, true],
    [4, INPUTS, true, -1, 1, true],
    [4, INPUTS, true, 0, 0, true],
    [4, INPUTS, true, 0, 1, 'yes'],
  ])('has a size and types: %j', (...args) => {
    expect(() => new addon.Data(...(args as ConstructorParameters<typeof addon.Data>))).toThrow(TypeError);
  });

  it('has no more than memory holds, and class indices one by one', () => {
    expect(() => new addon.Data(2 ** 32 - 1, 2 ** 31 - 1, true, 0, 1, true)).toThrow(RangeError);
    expect(() => new addon.Data(4, INPUTS, true, 4 * INPUTS + 1, 1, true)).toThrow(RangeError);
    expect(() => new addon.Data(4, INPUTS, true, 0, 2, true)).toThrow('one class index per sample');
    expect(() => new addon.Data(2 ** 20, 2 ** 31 - 1, false, 2 ** 50, 1, true)).toThrow('not enough memory');
  });

  it('takes whole samples of its types, as many as there is room for', () => {
    const room = newData(2);
    const one = [new Uint8Array(INPUTS), new Int32Array(1)] as const;
    expect(() => room.append(new Float32Array(INPUTS), one[1])).toThrow(TypeError);
    expect(() => room.append(one[0], new Float32Array(1))).toThrow(TypeError);
    expect(() => room.append(wrong([1]), one[1])).toThrow(TypeError);
    expect(() => room.append(new Uint8Array(INPUTS + 1), one[1])).toThrow('whole samples');
    expect(() => room.append(one[0], new Int32Array(2))).toThrow('whole samples');
    expect(() => room.append(new Uint8Array(0), new Int32Array(0))).toThrow('whole samples');
    expect(() => room.append(new Uint8Array(3 * INPUTS), new Int32Array(3))).toThrow('Expected no more samples');
    room.append(...one);
    room.append(...one);
    expect(() => room.append(...one)).toThrow('Expected no more samples');
    room.dispose();
    room.dispose();
    expect(() => room.append(...one)).toThrow('The data are disposed');
    expect(() => addon.countNonZeros(wrong([1]))).toThrow(TypeError);
    expect(addon.countNonZeros(new Uint8Array(0))).toBe(0);
  });

  it('takes floats with rows of floats', () => {
    const room = new addon.Data(1, INPUTS, false, 0, 2, false);
    expect(() => room.append(new Uint8Array(INPUTS), new Float32Array(2))).toThrow(TypeError);
    expect(() => room.append(new Float32Array(INPUTS), new Int32Array(2))).toThrow(TypeError);
    expect(() => room.append(new Float32Array(INPUTS).fill(1), new Float32Array(2))).toThrow(
      'values that are not zero',
    );
    room.append(new Float32Array(INPUTS), new Float32Array(2));
    room.dispose();
  });
});

it('a session that was disposed of does nothing any more', async () => {
  const pending = session.infer(new Float32Array(INPUTS));
  session.dispose();
  session.dispose();
  await expect(pending).rejects.toThrow('disposed');
  const values = new Float32Array(CLASSES);
  for (const use of [
    () => session.read(WEIGHTS, 0, values),
    () => session.readPublished(Uint32Array.of(WEIGHTS), values),
    () => session.parametersAreFinite(),
    () => session.write(WEIGHTS, 0, values),
    () => session.publish(1),
    () => session.begin(0, data, Uint32Array.of(0), 1, values, 0, false),
    () => session.advance(1),
    () => session.metrics(),
    () => session.finish(),
    () => session.infer(new Float32Array(INPUTS)),
    () => session.inferSync(new Float32Array(INPUTS), values),
  ]) {
    expect(use).toThrow('disposed');
  }
  session.cancel();
});

it('the budget of threads is a whole number', () => {
  for (const threads of NUMBERS.concat(0, 257)) {
    expect(() => addon.setThreadBudget(wrong(threads), true)).toThrow(TypeError);
  }
  expect(() => addon.setThreadBudget(1, wrong(1))).toThrow(TypeError);
});
