/** How runs end when they diverge, and how portions of a stream draw their random numbers. */

import { describe, expect, it } from 'vitest';
import type { Backend, Samples, Session } from '../../src/backends/backend.js';
import { createJsBackend } from '../../src/backends/js/backend.js';
import { createNativeBackend } from '../../src/backends/native/backend.js';
import { categoricalCrossentropy, conv2d, dense, dropout, type Layer, sgd } from '../../src/index.js';
import { resolveAugmentation } from '../../src/model/augmentation.js';
import { lowerModel } from '../../src/model/lower.js';
import { buildStack, initialWeights } from '../../src/model/stack.js';
import { atOnce } from '../../src/pieces.js';
import { ProgramBuilder } from '../../src/program/builder.js';
import { RandomPurpose, RandomStream } from '../../src/random.js';
import { writeNow } from '../helpers/sessions.js';
import { failure } from '../helpers/toy.js';

const [BATCH, COUNT, SIDE, CLASSES] = [8, 48, 6, 3];
const PIXELS = SIDE * SIDE;

/** A model's train and evaluate sections with its first weights. */
function open(backend: Backend, threads: number, layers: readonly Layer[], augmented = false): Session {
  const stack = buildStack(layers, [SIDE, SIDE, 1]);
  const augmentation = augmented
    ? resolveAugmentation({ shift: 2, rotation: 20, erase: { probability: 0.5, size: 3 } }, [SIDE, SIDE, 1])
    : null;
  const training = { loss: categoricalCrossentropy(), optimizer: sgd({ learningRate: 0.1 }), augmentation };
  const program = lowerModel(stack, training, { train: BATCH, evaluate: BATCH, infer: BATCH }, 7);
  const session = backend.open(program, { threads });
  initialWeights(stack, 7).forEach((values, index) => {
    writeNow(session, stack.parameters[index].name, values);
  });
  return session;
}

function samples(): Samples & { inputs: Float32Array; targets: Uint8Array } {
  const stream = new RandomStream(5, RandomPurpose.augment);
  const inputs = Float32Array.from({ length: COUNT * PIXELS }, () => stream.uniform());
  const targets = Uint8Array.from({ length: COUNT }, () => stream.below(CLASSES));
  return { inputs, targets, count: COUNT };
}

const layers = [dense({ units: 40, activation: 'relu' }), dense({ units: CLASSES, activation: 'softmax' })];
const identity = (length: number) => Uint32Array.from({ length }, (_, i) => i);
const stepsOf = (count: number) => Math.ceil(count / BATCH);
/** A learning rate for each step. */
const planOf = (count: number) => ({ batchSize: BATCH, scalars: new Float32Array(stepsOf(count)).fill(0.1) });

const js = createJsBackend();
const native = createNativeBackend();

describe.each([
  { backend: js, name: 'js', threads: 1 },
  { backend: native, name: 'native', threads: 1 },
  { backend: native, name: 'native', threads: 2 },
  { backend: native, name: 'native', threads: 3 },
])('$name with $threads threads', ({ backend, threads }) => {
  describe('a run that diverges', () => {
    /** Sample `broken` has a pixel that is no number. */
    const boundWith = (broken: number) => {
      const data = samples();
      data.inputs[broken * PIXELS + 3] = Number.NaN;
      return atOnce(backend.bind(data));
    };

    it.each([0, 19, 24, 47])('ends after the step of sample %i, whose activations can be read', async (broken) => {
      const session = open(backend, threads, layers);
      const reports: number[] = [];
      const onProgress = ({ steps }: { steps: number }) => reports.push(steps);
      const result = await session.run('train', boundWith(broken), identity(COUNT), planOf(COUNT), { onProgress });
      const steps = Math.floor(broken / BATCH) + 1;
      expect(result).toMatchObject({ steps, samples: steps * BATCH, aborted: true, diverged: true });
      expect(result.metrics).toHaveLength(2 * steps);
      expect([...result.metrics].map(Number.isNaN).indexOf(true)).toBe(2 * (steps - 1));
      expect(result.lossSum).toBeNaN();
      expect(reports.at(-1)).toBe(steps);
      // Had there been another step, the weights would have made everything NaN.
      const hidden = atOnce(session.read('train/0.output'));
      const rows = Array.from({ length: BATCH }, (_, i) => hidden.subarray(i * 40, (i + 1) * 40).some(Number.isNaN));
      expect(rows.flatMap((isBroken, row) => (isBroken ? [row] : []))).toEqual([broken % BATCH]);
      session.dispose();
    });

    it('leaves no thread behind, however often', async () => {
      const session = open(backend, threads, layers);
      const weights = ['0.weight', '0.bias', '1.weight', '1.bias'].map(
        (name) => [name, atOnce(session.read(name))] as const,
      );
      for (let round = 0; round < 60; round++) {
        const broken = (round * 7) % COUNT;
        const data = boundWith(broken);
        const { steps, diverged } = await session.run('train', data, identity(COUNT), planOf(COUNT));
        expect([steps, diverged]).toEqual([Math.floor(broken / BATCH) + 1, true]);
        data.dispose();
        for (const [name, values] of weights) writeNow(session, name, values);
      }
      const whole = await session.run('train', atOnce(backend.bind(samples())), identity(COUNT), planOf(COUNT));
      expect(whole).toMatchObject({ steps: stepsOf(COUNT), aborted: false, diverged: false });
      session.dispose();
    });

    it('goes on to the end where it is an evaluation', async () => {
      const session = open(backend, threads, layers);
      const result = await session.run('evaluate', boundWith(3), identity(COUNT), planOf(COUNT));
      expect(result).toMatchObject({ steps: stepsOf(COUNT), aborted: false, diverged: false });
      expect([...result.metrics].filter(Number.isNaN)).toHaveLength(1);
      session.dispose();
    });

    it('ends at once where the loss is the last thing that a step does', async () => {
      const builder = new ProgramBuilder().section('train', BATCH);
      const input = builder.batched('inputs', [PIXELS], 'input');
      const targets = builder.batched('targets', [CLASSES], 'target');
      const predictions = builder.batched('predictions', [CLASSES]);
      const weights = builder.persistent('weights', 'parameter', [PIXELS, CLASSES]);
      builder.add({ op: 'gather', source: 'inputs', output: input });
      builder.add({ op: 'gather', source: 'targets', output: targets });
      const product = { a: input, b: weights, output: predictions, transposeA: false, transposeB: false };
      builder.add({ op: 'matmul', ...product });
      builder.add({ op: 'meanAbsoluteError', predictions, targets, dPredictions: null });
      const session = backend.open(builder.build(), { threads });
      const { inputs } = samples();
      for (let broken = 0; broken < COUNT; broken++) {
        const floats = new Float32Array(COUNT * CLASSES);
        floats[broken * CLASSES] = Infinity;
        const data = atOnce(backend.bind({ inputs, targets: floats, count: COUNT }));
        const plan = { batchSize: BATCH, scalars: new Float32Array(0) };
        const { steps, diverged } = await session.run('train', data, identity(COUNT), plan);
        expect([steps, diverged]).toEqual([Math.floor(broken / BATCH) + 1, true]);
        data.dispose();
      }
      session.dispose();
    });
  });

  describe('firstIndex', () => {
    const random = [
      conv2d({ filters: 4, kernelSize: 3, activation: 'relu' }),
      dropout({ rate: 0.3 }),
      dense({ units: 20, activation: 'relu' }),
      dropout({ rate: 0.5 }),
      dense({ units: CLASSES, activation: 'softmax' }),
    ];
    /** Epoch and learning rate for each step: the order in which the program has them. */
    const randomPlan = (count: number, firstIndex?: number) => ({
      batchSize: BATCH,
      scalars: Float32Array.from({ length: 2 * stepsOf(count) }, (_, i) => (i % 2 === 0 ? 3 : 0.1)),
      firstIndex,
    });
    const trained = (session: Session) => {
      const values = atOnce(session.read('0.weight'));
      session.dispose();
      return values;
    };

    it('makes halves bound by themselves draw as the whole does', async () => {
      const { inputs, targets } = samples();
      const whole = open(backend, threads, random, true);
      await whole.run('train', atOnce(backend.bind(samples())), identity(COUNT), randomPlan(COUNT));
      const wanted = trained(whole);
      const inHalves = async (firstIndexOf: (from: number) => number) => {
        const session = open(backend, threads, random, true);
        const half = COUNT / 2;
        for (const from of [0, half]) {
          const part = {
            inputs: inputs.subarray(from * PIXELS, (from + half) * PIXELS),
            targets: targets.subarray(from, from + half),
            count: half,
          };
          await session.run('train', atOnce(backend.bind(part)), identity(half), randomPlan(half, firstIndexOf(from)));
        }
        return trained(session);
      };
      expect(await inHalves((from) => from)).toEqual(wanted);
      expect(await inHalves(() => 0)).not.toEqual(wanted);
    });

    it('counts modulo 2^32, and says nothing about which sample is gathered', async () => {
      // Three samples of the same pixels.
      const pixels = samples().inputs.slice(0, PIXELS);
      const inputs = Float32Array.from([...pixels, ...pixels, ...pixels]);
      const data = atOnce(backend.bind({ inputs, targets: Uint8Array.of(0, 1, 2), count: 3 }));
      const run = async (order: number[], firstIndex: number) => {
        const session = open(backend, threads, random, true);
        await session.run('train', data, Uint32Array.from(order), randomPlan(1, firstIndex));
        const made = {
          targets: atOnce(session.read('train/targets'))[0],
          images: atOnce(session.read('train/inputs.augmented')),
        };
        session.dispose();
        return { ...made, images: made.images.slice(0, PIXELS) };
      };
      const [zero, wrapped, other] = [await run([0], 0), await run([1], 2 ** 32 - 1), await run([1], 0)];
      expect(wrapped.images).toEqual(zero.images);
      expect(other.images).not.toEqual(zero.images);
      expect([zero.targets, wrapped.targets]).toEqual([0, 1]);
    });

    it.each([-1, 0.5, 2 ** 32, Number.NaN, '3'])('is refused as %s', async (firstIndex) => {
      const session = open(backend, threads, layers);
      const plan = { ...planOf(COUNT), firstIndex: firstIndex as never };
      const run = session.run('train', atOnce(backend.bind(samples())), identity(COUNT), plan);
      await expect(run).rejects.toEqual(failure('ERR_ARGUMENT', /for firstIndex, received/));
      session.dispose();
    });
  });
});
