import { setImmediate as nextTurn } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Backend, RunProgress, Samples, Session } from '../../src/backends/backend.js';
import { createJsBackend } from '../../src/backends/js/backend.js';
import { createNativeBackend } from '../../src/backends/native/backend.js';
import { atOnce } from '../../src/pieces.js';
import { ProgramBuilder } from '../../src/program/builder.js';
import { OP_NAMES } from '../../src/program/op-fields.js';
import type { Program } from '../../src/program/program.js';
import { RandomPurpose, RandomStream } from '../../src/random.js';
import { writeNow } from '../helpers/sessions.js';
import { errorOf, failure } from '../helpers/toy.js';

/** The backend under test; every suite below runs once on each. */
let backend: Backend;
const INPUTS = 6;
const CLASSES = 3;
const BATCH = 4;
const INFER_CAPACITY = 5;

/** One dense layer and softmax, trained by SGD; `target` floats make it a regression by mean squared error. */
function program({
  target = 'classes',
  rowsAhead = 0,
}: {
  target?: 'classes' | 'floats';
  rowsAhead?: number;
} = {}): Program {
  const builder = new ProgramBuilder();
  for (const name of ['train', 'evaluate', 'infer'] as const) {
    builder.section(name, (name === 'infer' ? INFER_CAPACITY : BATCH) + rowsAhead);
    const weights = builder.persistent('weights', 'parameter', [INPUTS, CLASSES]);
    const bias = builder.persistent('bias', 'parameter', [CLASSES]);
    const input = builder.batched('input', [INPUTS], 'input');
    const output = builder.batched('output', [CLASSES]);
    if (name !== 'infer') builder.add({ op: 'gather', source: 'inputs', output: input });
    builder.add({ op: 'dense', input, weights, bias, output, activation: 'linear', negativeSlope: 0 });
    if (name === 'infer') {
      const answer = builder.batched('answer', [CLASSES]);
      builder.add({ op: 'softmax', input: output, output: answer });
      builder.endpoints(input, answer);
      continue;
    }
    const isClasses = target === 'classes';
    const targets = builder.batched('targets', isClasses ? [] : [CLASSES], 'target', isClasses ? 'int32' : 'float32');
    builder.add({ op: 'gather', source: 'targets', output: targets });
    const gradient = name === 'train' ? builder.batched('dOutput', [CLASSES], 'gradient') : null;
    if (isClasses) {
      builder.add({ op: 'softmaxCrossEntropy', logits: output, targets, dLogits: gradient, labelSmoothing: 0 });
    } else {
      builder.add({ op: 'meanSquaredError', predictions: output, targets, dPredictions: gradient });
    }
    if (!gradient) continue;
    const dWeights = builder.fixed('dWeights', [INPUTS, CLASSES], 'gradient');
    const dBias = builder.fixed('dBias', [CLASSES], 'gradient');
    builder.add({
      op: 'denseBackward',
      input,
      weights,
      dOutput: gradient,
      dWeights,
      dBias,
      dInput: null,
      update: false,
    });
    const learningRate = builder.scalar('learningRate');
    const velocity = builder.persistent('velocity', 'slot', [INPUTS, CLASSES]);
    const sgd = { op: 'sgd', learningRate, nesterov: false, weightDecay: 0 } as const;
    builder.add({ ...sgd, parameter: weights, gradient: dWeights, velocity, momentum: 0.9 });
    builder.add({ ...sgd, parameter: bias, gradient: dBias, velocity: null, momentum: 0 });
  }
  return builder.build();
}

function samplesOf(count: number, seed = 1): Samples & { inputs: Uint8Array; targets: Uint8Array } {
  const stream = new RandomStream(seed, RandomPurpose.augment);
  const inputs = Uint8Array.from({ length: count * INPUTS }, () => stream.below(256));
  const targets = Uint8Array.from({ length: count }, () => stream.below(CLASSES));
  return { inputs, targets, count };
}

const firstWeights = Float32Array.from({ length: INPUTS * CLASSES }, (_, i) => Math.sin(i) / 2);
const identity = (length: number) => Uint32Array.from({ length }, (_, i) => i);
const planOf = (samples: number, batchSize = BATCH, rate = 0.1) => ({
  batchSize,
  scalars: new Float32Array(Math.ceil(samples / batchSize)).fill(rate),
});

function openSession(opened = program()): Session {
  const session = backend.open(opened);
  writeNow(session, 'weights', firstWeights);
  return session;
}

/** A run long enough for many turns of the event loop, whatever the machine. */
/** Steps of a run that takes several reports of progress; set for each backend. */
let longRun: number;
function startLongRun(session: Session, options: Parameters<Session['run']>[4] = {}) {
  return session.run(
    'train',
    atOnce(backend.bind(samplesOf(8))),
    identity(longRun).map((i) => i % 8),
    planOf(longRun, 1, 1e-4),
    options,
  );
}

describe.each([
  ['js', createJsBackend(), 60_000],
  ['native', createNativeBackend(), 300_000],
] as const)('%s', (name, created, steps) => {
  beforeAll(() => {
    backend = created;
    longRun = steps;
  });

  describe('the backend', () => {
    it('says what it is', () => {
      expect(backend.name).toBe(name);
      expect(backend.isa === null).toBe(name === 'js');
      expect([...backend.operations].sort()).toEqual([...OP_NAMES].sort());
    });

    it('binds copies', async () => {
      const samples = samplesOf(4);
      const data = atOnce(backend.bind(samples));
      const session = openSession();
      const before = await session.run('evaluate', data, identity(4), planOf(4));
      samples.inputs.fill(0);
      samples.targets.fill(2);
      expect(await session.run('evaluate', data, identity(4), planOf(4))).toEqual(before);
    });

    it.each([
      [{ inputs: [1, 2], targets: new Uint8Array(1), count: 1 }, 'ERR_ARGUMENT', /for inputs, received an array/],
      [{ inputs: new Uint8Array(2), targets: [1], count: 1 }, 'ERR_ARGUMENT', /for targets, received an array/],
      [{ inputs: new Uint8Array(2), targets: new Uint8Array(1), count: 0 }, 'ERR_ARGUMENT', /for count, received 0/],
      [{ inputs: new Uint8Array(5), targets: new Uint8Array(2), count: 2 }, 'ERR_SHAPE', /for inputs/],
      [{ inputs: new Uint8Array(4), targets: new Uint8Array(3), count: 2 }, 'ERR_SHAPE', /for targets/],
    ] as const)('refuses to bind %j', (samples, code, message) => {
      expect(() => atOnce(backend.bind(samples as unknown as Samples))).toThrow(failure(code, message));
    });
  });

  describe('read and write', () => {
    it('copy parameters, slots and buffers of the train section', async () => {
      const session = openSession();
      const values = firstWeights.slice();
      writeNow(session, 'weights', values);
      values.fill(7);
      expect(atOnce(session.read('weights'))).toEqual(firstWeights);
      atOnce(session.read('weights')).fill(7);
      expect(atOnce(session.read('weights'))).toEqual(firstWeights);
      expect(atOnce(session.read('velocity'))).toEqual(new Float32Array(INPUTS * CLASSES));
      writeNow(session, 'train/targets', Float32Array.of(0, 1, 2, 1));
      expect(atOnce(session.read('train/targets'))).toEqual(Float32Array.of(0, 1, 2, 1));
    });

    it('refuse unknown buffers, shared memory, and wrong types and lengths', () => {
      const session = openSession();
      const unknown = failure('ERR_ARGUMENT', /Expected a parameter, a slot or a buffer of the train section/);
      expect(() => atOnce(session.read('nothing'))).toThrow(unknown);
      expect(() => atOnce(session.read('infer/answer'))).toThrow(unknown);
      expect(() => writeNow(session, 'evaluate/output', new Float32Array(3))).toThrow(unknown);
      expect(() => writeNow(session, 'bias', new Float32Array(2))).toThrow(
        failure('ERR_SHAPE', /Expected 3 values for buffer bias/),
      );
      expect(() => writeNow(session, 'bias', [1, 2, 3] as never)).toThrow(
        failure('ERR_ARGUMENT', /Expected a Float32Array/),
      );
    });
  });

  describe('run', () => {
    it('cuts the order into steps and gives each its scalars and its metrics', async () => {
      const session = openSession();
      const data = atOnce(backend.bind(samplesOf(10)));
      const order = Uint32Array.of(3, 1, 4, 1, 5, 9, 2, 6, 8);
      const scalars = Float32Array.of(0.1, 0.2, 0.3);
      const whole = await session.run('train', data, order, { batchSize: 4, scalars });
      expect(whole).toMatchObject({ steps: 3, samples: 9, aborted: false });
      expect(whole.metrics.length).toBe(6);
      expect(whole.lossSum).toBe(whole.metrics[0] + whole.metrics[2] + whole.metrics[4]);
      expect(whole.correct).toBe(whole.metrics[1] + whole.metrics[3] + whole.metrics[5]);

      const again = openSession();
      for (let step = 0; step < 3; step++) {
        const part = order.slice(step * 4, step * 4 + 4);
        const plan = { batchSize: part.length, scalars: scalars.slice(step, step + 1) };
        const { metrics } = await again.run('train', data, part, plan);
        expect(metrics).toEqual(whole.metrics.slice(step * 2, step * 2 + 2));
      }
      expect(atOnce(again.read('weights'))).toEqual(atOnce(session.read('weights')));
      expect(atOnce(session.read('weights'))).not.toEqual(firstWeights);
    });

    it('is the same whatever the capacity', async () => {
      const [exact, roomy] = [openSession(), openSession(program({ rowsAhead: 3 }))];
      const data = atOnce(backend.bind(samplesOf(10)));
      const results = await Promise.all(
        [exact, roomy].map((session) => session.run('train', data, identity(10), planOf(10))),
      );
      expect(results[1]).toEqual(results[0]);
      expect(atOnce(roomy.read('weights'))).toEqual(atOnce(exact.read('weights')));
    });

    it('copies order and scalars', async () => {
      const [session, again] = [openSession(), openSession()];
      const data = atOnce(backend.bind(samplesOf(8)));
      const [order, plan] = [identity(8), planOf(8)];
      const started = session.run('train', data, order, plan);
      order.fill(99);
      plan.scalars.fill(99);
      expect(await started).toEqual(await again.run('train', data, identity(8), planOf(8)));
    });

    it('evaluates without changing anything', async () => {
      const session = openSession();
      const result = await session.run('evaluate', atOnce(backend.bind(samplesOf(9))), identity(9), planOf(9));
      expect(result).toMatchObject({ steps: 3, samples: 9 });
      expect(result.lossSum).toBeGreaterThan(0);
      expect(atOnce(session.read('weights'))).toEqual(firstWeights);
    });

    it('trains on float targets', async () => {
      const session = openSession(program({ target: 'floats' }));
      const inputs = Float32Array.from({ length: 8 * INPUTS }, (_, i) => Math.sin(i * i));
      // A linear function of the inputs: the layer can learn it.
      const row = (i: number) => Math.floor(i / CLASSES) * INPUTS;
      const targets = Float32Array.from({ length: 8 * CLASSES }, (_, i) => inputs[row(i) + (i % CLASSES)] / 2);
      const data = atOnce(backend.bind({ inputs, targets, count: 8 }));
      const first = await session.run('train', data, identity(8), planOf(8));
      for (let epoch = 0; epoch < 50; epoch++) await session.run('train', data, identity(8), planOf(8));
      const last = await session.run('train', data, identity(8), planOf(8));
      expect(last.lossSum).toBeLessThan(first.lossSum / 2);
      expect(last.correct).toBe(0);
    });

    it('does nothing for an empty order', async () => {
      const result = await openSession().run('train', atOnce(backend.bind(samplesOf(2))), identity(0), planOf(0));
      expect(result).toMatchObject({ steps: 0, samples: 0, lossSum: 0, correct: 0, aborted: false });
      expect(result.metrics.length).toBe(0);
    });

    it('refuses wrong arguments before the first step', async () => {
      const session = openSession();
      const data = atOnce(backend.bind(samplesOf(5)));
      const run = (
        code: Parameters<typeof failure>[0],
        message: RegExp,
        {
          section = 'train',
          bound = data as unknown,
          order = identity(5) as unknown,
          plan = planOf(5) as unknown,
        } = {},
      ) =>
        expect(session.run(section as 'train', bound as never, order as never, plan as never)).rejects.toThrow(
          failure(code, message),
        );
      await run('ERR_ARGUMENT', /for section, received "infer"/, { section: 'infer' });
      await run('ERR_ARGUMENT', /Expected bound data for data, received null/, { bound: null });
      await run('ERR_ARGUMENT', /data bound by the same backend/, { bound: samplesOf(5) });
      await run('ERR_ARGUMENT', /Uint32Array of sample indices for order/, { order: [0, 1] });
      await run('ERR_ARGUMENT', /indices from 0 to 4 for order, received 5/, { order: Uint32Array.of(0, 5, 1, 2, 3) });
      await run('ERR_ARGUMENT', /from 1 to 4 for batchSize of the train section, received 5/, { plan: planOf(5, 5) });
      await run('ERR_ARGUMENT', /batchSize of the train section, received 0/, { plan: { ...planOf(5), batchSize: 0 } });
      await run('ERR_ARGUMENT', /Float32Array for scalars/, { plan: { batchSize: 4, scalars: [1, 2] } });
      await run('ERR_SHAPE', /2 values \(2 steps of 1\) for scalars/, { plan: planOf(9) });
      const wide = { inputs: new Uint8Array(35), targets: new Uint8Array(5), count: 5 };
      await run('ERR_SHAPE', /6 values per sample.*bound inputs, received 7/, { bound: atOnce(backend.bind(wide)) });
      const floats = { ...samplesOf(5), targets: new Float32Array(5) };
      await run('ERR_ARGUMENT', /class indices for the bound targets, received floats/, {
        bound: atOnce(backend.bind(floats)),
      });
      const gone = atOnce(backend.bind(samplesOf(5)));
      gone.dispose();
      gone.dispose();
      await run('ERR_STATE', /bound data was disposed of/, { bound: gone });
      expect(atOnce(session.read('weights'))).toEqual(firstWeights);

      const regression = openSession(program({ target: 'floats' }));
      const indices = atOnce(backend.bind({ ...samplesOf(5), targets: new Int32Array(5) }));
      await expect(regression.run('train', indices, identity(5), planOf(5))).rejects.toThrow(
        failure('ERR_SHAPE', /bound targets/),
      );
      const one = { ...samplesOf(5), targets: new Float32Array(5 * CLASSES) };
      expect(await regression.run('train', atOnce(backend.bind(one)), identity(5), planOf(5))).toMatchObject({
        steps: 2,
      });
    });

    it('allows one run at a time, and no reading or writing beside it', async () => {
      const session = openSession();
      const data = atOnce(backend.bind(samplesOf(4)));
      const started = session.run('train', data, identity(4), planOf(4));
      const busy = failure('ERR_STATE', /while a run is in flight/);
      await expect(session.run('evaluate', data, identity(4), planOf(4))).rejects.toThrow(busy);
      expect(() => atOnce(session.read('weights'))).toThrow(busy);
      expect(() => writeNow(session, 'weights', firstWeights)).toThrow(busy);
      await started;
      await session.run('evaluate', data, identity(4), planOf(4));
    });

    it('is free again after onProgress has thrown', async () => {
      const session = openSession();
      const data = atOnce(backend.bind(samplesOf(4)));
      const onProgress = () => {
        throw new Error('no room on the disk');
      };
      await expect(session.run('train', data, identity(4), planOf(4), { onProgress })).rejects.toThrow(
        'no room on the disk',
      );
      expect(await session.run('train', data, identity(4), planOf(4))).toMatchObject({ steps: 1 });
    });

    it('leaves the event loop turns, and reports progress that grows to the result', async () => {
      const session = openSession();
      const reports: RunProgress[] = [];
      let turns = 0;
      let over = false;
      const counting = (async () => {
        while (!over) {
          await nextTurn();
          turns++;
        }
      })();
      const result = await startLongRun(session, { onProgress: (progress) => reports.push(progress) });
      over = true;
      await counting;
      expect(turns).toBeGreaterThan(2);
      const { steps, samples, lossSum, correct } = result;
      expect(reports.at(-1)).toEqual({ steps, samples, lossSum, correct });
      expect(steps).toBe(longRun);
      for (let i = 1; i < reports.length; i++) expect(reports[i].steps).toBeGreaterThan(reports[i - 1].steps);
      expect(reports[0]).not.toBe(reports[1]);
    });
  });

  describe('abort', () => {
    it('ends the run between steps, with the weights after the last whole one', async () => {
      const session = openSession();
      const controller = new AbortController();
      const onProgress = () => controller.abort();
      const result = await startLongRun(session, { signal: controller.signal, onProgress });
      expect(result.aborted).toBe(true);
      expect(result.steps).toBeGreaterThan(0);
      expect(result.steps).toBeLessThan(longRun);
      expect(result.samples).toBe(result.steps);
      expect(result.metrics.length).toBe(result.steps * 2);

      const again = openSession();
      const order = identity(result.steps).map((i) => i % 8);
      await again.run('train', atOnce(backend.bind(samplesOf(8))), order, planOf(result.steps, 1, 1e-4));
      expect(atOnce(again.read('weights'))).toEqual(atOnce(session.read('weights')));
      const question = samplesOf(1, 9).inputs;
      expect(await session.infer(question)).toEqual(await again.infer(question));
    });

    it('does no step when the signal was raised before', async () => {
      const session = openSession();
      const result = await startLongRun(session, { signal: AbortSignal.abort() });
      expect(result).toMatchObject({ steps: 0, samples: 0, aborted: true });
      expect(atOnce(session.read('weights'))).toEqual(firstWeights);
    });

    it('is not said of a run that came to its end', async () => {
      const controller = new AbortController();
      const onProgress = () => controller.abort();
      const options = { signal: controller.signal, onProgress };
      const data = atOnce(backend.bind(samplesOf(4)));
      const result = await openSession().run('train', data, identity(4), planOf(4), options);
      expect(result).toMatchObject({ steps: 1, aborted: false });
    });
  });

  describe('infer', () => {
    /** softmax(pixels / 255 · weights) in float64. */
    function expectAnswers(answers: Float32Array, inputs: ArrayLike<number>, weights = firstWeights) {
      for (let i = 0; i * CLASSES < answers.length; i++) {
        const e = Array.from({ length: CLASSES }, (_, j) => {
          let sum = 0;
          for (let k = 0; k < INPUTS; k++) sum += inputs[i * INPUTS + k] * weights[k * CLASSES + j];
          return Math.exp(sum);
        });
        const total = e.reduce((sum, value) => sum + value);
        for (let j = 0; j < CLASSES; j++) expect(answers[i * CLASSES + j]).toBeCloseTo(e[j] / total, 6);
      }
    }

    it.each([1, INFER_CAPACITY, INFER_CAPACITY + 1, 3 * INFER_CAPACITY + 2])(
      'answers %i samples, pixels and floats',
      async (count) => {
        const session = openSession();
        const { inputs } = samplesOf(count);
        const answers = await session.infer(inputs);
        expect(answers.length).toBe(count * CLASSES);
        const floats = Float32Array.from(inputs, (v) => v / 255);
        expectAnswers(answers, floats);
        expect(await session.infer(floats)).toEqual(answers);
        const outputs = new Float32Array(count * CLASSES).fill(-1);
        session.inferSync(inputs, outputs);
        expect(outputs).toEqual(answers);
        outputs.fill(-1);
        session.inferSync(floats, outputs);
        expect(outputs).toEqual(answers);
      },
    );

    it('answers nothing with nothing', async () => {
      const session = openSession();
      expect(await session.infer(new Uint8Array(0))).toEqual(new Float32Array(0));
      session.inferSync(new Uint8Array(0), new Float32Array(0));
    });

    it('copies its input, and lets others work between the chunks of a long one', async () => {
      const session = openSession();
      const inputs = Uint8Array.from({ length: 100_000 * INPUTS }, (_, i) => (i * 7919) % 256);
      const wanted = new Float32Array((inputs.length / INPUTS) * CLASSES);
      session.inferSync(inputs, wanted);
      const question = inputs.slice();
      let turned = false;
      const started = session.infer(question).then((answers) => ({ answers, turned }));
      question.fill(0);
      setImmediate(() => {
        turned = true;
      });
      const result = await started;
      expect(result.turned).toBe(true);
      expect(result.answers.every((value, i) => value === wanted[i])).toBe(true);
    });

    it('uses what was written last', async () => {
      const session = openSession();
      const { inputs } = samplesOf(3);
      const weights = firstWeights.map((w) => -2 * w);
      writeNow(session, 'weights', weights);
      expectAnswers(
        await session.infer(inputs),
        Float32Array.from(inputs, (v) => v / 255),
        weights,
      );
    });

    it('uses the weights published last beside a run, which it does not disturb', async () => {
      const [session, undisturbed] = [openSession(), openSession()];
      const { inputs } = samplesOf(1, 3);
      const answer = new Float32Array(CLASSES);
      const atProgress: Float32Array[] = [];
      const report = () => {
        session.inferSync(inputs, answer);
        atProgress.push(answer.slice());
      };
      report();
      /** Answers, how many reports there were when they were asked for, and how many when they came. */
      const seen: { answer: Float32Array; asked: number; came: number }[] = [];
      let over = false;
      const asking = (async () => {
        while (!over) {
          const asked = atProgress.length;
          session.inferSync(inputs, answer);
          seen.push({ answer: answer.slice(), asked, came: asked });
          const later = await session.infer(inputs);
          seen.push({ answer: later, asked, came: atProgress.length });
          await nextTurn();
        }
      })();
      const result = await startLongRun(session, { onProgress: report });
      over = true;
      await asking;
      expect(await startLongRun(undisturbed)).toEqual(result);
      expect(atOnce(session.read('weights'))).toEqual(atOnce(undisturbed.read('weights')));
      expect(seen.length).toBeGreaterThan(4);
      // Weights are published on the engine's own thread, a moment before they are reported here: an answer is of the last
      // report or of the one that comes next, and never of anything between.
      for (const { answer: found, asked, came } of seen) {
        expect(atProgress.slice(asked - 1, came + 1)).toContainEqual(found);
      }
      // Between two reports lie many steps; the last may follow at once.
      for (let i = 1; i < atProgress.length - 1; i++) expect(atProgress[i]).not.toEqual(atProgress[i - 1]);
      expect(atProgress.at(-1)).not.toEqual(atProgress[0]);
      expect(atProgress.at(-1)).toEqual(await undisturbed.infer(inputs));
    });

    it('gives evaluation the same weights as inference', async () => {
      const session = openSession();
      const data = atOnce(backend.bind(samplesOf(4)));
      await session.run('train', data, identity(4), planOf(4));
      const trained = atOnce(session.read('weights'));
      const fresh = openSession();
      writeNow(fresh, 'weights', trained);
      writeNow(fresh, 'bias', atOnce(session.read('bias')));
      const evaluate = (one: Session) => one.run('evaluate', data, identity(4), planOf(4));
      expect(await evaluate(session)).toEqual(await evaluate(fresh));
    });

    it('refuses wrong arguments', async () => {
      const session = openSession();
      const output = new Float32Array(CLASSES);
      await expect(session.infer(new Uint8Array(INPUTS + 1))).rejects.toThrow(
        failure('ERR_SHAPE', /a multiple of 6 values/),
      );
      await expect(session.infer([1] as never)).rejects.toThrow(failure('ERR_ARGUMENT', /for inputs/));
      expect(() => session.inferSync(new Uint8Array(INPUTS), new Float32Array(2))).toThrow(
        failure('ERR_SHAPE', /3 values \(1 samples of 3\) for outputs/),
      );
      expect(() => session.inferSync(new Uint8Array(INPUTS), [0, 0, 0] as never)).toThrow(
        failure('ERR_ARGUMENT', /for outputs/),
      );
      expect(() => session.inferSync(new Float64Array(INPUTS) as never, output)).toThrow(
        failure('ERR_ARGUMENT', /for inputs/),
      );
      const trainOnly = backend.open(new ProgramBuilder().section('train', 1).build());
      expect(() => trainOnly.inferSync(new Uint8Array(INPUTS), output)).toThrow(
        failure('ERR_STATE', /no infer section/),
      );
    });
  });

  describe('dispose', () => {
    it('ends everything with ERR_STATE, any number of times', async () => {
      const session = openSession();
      session.dispose();
      session.dispose();
      const gone = failure('ERR_STATE', /session was disposed of/);
      expect(errorOf(() => atOnce(session.read('weights')))).toEqual(gone);
      expect(errorOf(() => writeNow(session, 'weights', firstWeights))).toEqual(gone);
      expect(errorOf(() => session.inferSync(new Uint8Array(INPUTS), new Float32Array(CLASSES)))).toEqual(gone);
      await expect(session.infer(new Uint8Array(INPUTS))).rejects.toThrow(gone);
      await expect(session.run('train', null, identity(0), planOf(0))).rejects.toThrow(gone);
    });

    it('cancels a run in flight and a long inference', async () => {
      const session = openSession();
      const run = startLongRun(session);
      const inference = session.infer(new Uint8Array(400_000 * INPUTS));
      await nextTurn();
      session.dispose();
      expect(await run).toMatchObject({ aborted: true });
      await expect(inference).rejects.toThrow(failure('ERR_STATE', /session was disposed of/));
    });
  });
});
