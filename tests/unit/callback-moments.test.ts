import { describe, expect, it } from 'vitest';
import { type BatchResult, type Callback, type CallbackContext, dense, sequential, sgd } from '../../src/index.js';
import { availableBackends, titleOf } from '../helpers/backends.js';
import { backendWith, classifier, failure, historyOf, separable } from '../helpers/toy.js';

/** A callback that writes down every moment. */
function recorder(name = ''): { moments: string[]; callback: Callback } {
  const moments: string[] = [];
  const note = (moment: string) => () => {
    moments.push(`${name}${moment}`);
  };
  const callback = {
    onTrainBegin: note('trainBegin'),
    onTrainEnd: note('trainEnd'),
    onEpochBegin: (epoch: number) => note(`epochBegin ${epoch}`)(),
    onEpochEnd: (epoch: number) => note(`epochEnd ${epoch}`)(),
    onTrainBatchBegin: (batch: number) => note(`batchBegin ${batch}`)(),
    onTrainBatchEnd: (batch: number) => note(`batchEnd ${batch}`)(),
    onTestBegin: note('testBegin'),
    onTestEnd: note('testEnd'),
  };
  return { moments, callback };
}

describe('callbacks', () => {
  it('are called at Keras moments, in order', async () => {
    const { moments, callback } = recorder();
    await classifier().fit(separable(5), { batchSize: 2, epochs: 2, validationSplit: 0.3, callbacks: [callback] });
    const epoch = (number: number) => [
      `epochBegin ${number}`,
      'batchBegin 1',
      'batchEnd 1',
      'batchBegin 2',
      'batchEnd 2',
      'testBegin',
      'testEnd',
      `epochEnd ${number}`,
    ];
    expect(moments).toEqual(['trainBegin', ...epoch(1), ...epoch(2), 'trainEnd']);
  });

  it('several are called one after the other, and awaited', async () => {
    const order: string[] = [];
    const slow = (name: string): Callback => ({
      onEpochEnd: async () => {
        order.push(`${name} begins`);
        await new Promise((resolve) => setTimeout(resolve, 5));
        order.push(`${name} ends`);
      },
    });
    await classifier().fit(separable(5), { callbacks: [slow('a'), slow('b')] });
    expect(order).toEqual(['a begins', 'a ends', 'b begins', 'b ends']);
  });

  it('see results, monitors and the place', async () => {
    const seen: unknown[] = [];
    const model = classifier();
    await model.fit(separable(5));
    await model.fit(separable(10), {
      batchSize: 2,
      epochs: 2,
      validationSplit: 0.2,
      callbacks: [
        {
          onTrainBegin: ({ firstEpoch, lastEpoch, stepsPerEpoch, monitors, results, step }) => {
            seen.push([firstEpoch, lastEpoch, stepsPerEpoch, step, [...results]]);
            seen.push(monitors);
          },
          onEpochEnd: (epoch, result, context: CallbackContext) => {
            expect(context.results.at(-1)).toBe(result);
            expect(context.model).toBe(model);
            seen.push([epoch, context.step]);
          },
        },
      ],
    });
    expect(seen).toEqual([
      [2, 3, 4, 1, []],
      ['loss', 'accuracy', 'learningRate', 'validationLoss', 'validationAccuracy'],
      [2, 5],
      [3, 9],
    ]);
  });

  it('monitors of a regression without validation are the loss and the learning rate', async () => {
    const seen: (readonly string[])[] = [];
    const model = sequential([dense({ units: 1 })], { inputShape: [1], backend: 'js' });
    model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
    const callback: Callback = {
      onTrainBegin: ({ monitors }) => {
        seen.push(monitors);
      },
    };
    await model.fit({ inputs: [1], targets: [1] }, { callbacks: [callback] });
    expect(seen).toEqual([['loss', 'learningRate']]);
  });

  it('can stop training, at the end of an epoch or of a batch', async () => {
    const atEpoch = await classifier().fit(separable(10), {
      epochs: 5,
      callbacks: [
        { onEpochEnd: (epoch, _result, { stopTraining }) => (epoch === 2 ? stopTraining('good enough') : undefined) },
      ],
    });
    expect([atEpoch.stopped, atEpoch.stopReason, atEpoch.epochs.length]).toEqual(['callback', 'good enough', 2]);

    const { moments, callback } = recorder();
    const stop: Callback = {
      onTrainBatchEnd: (batch, _result, { stopTraining }) => (batch === 2 ? stopTraining('enough') : undefined),
    };
    const atBatch = await classifier().fit(separable(10), { batchSize: 2, epochs: 5, callbacks: [callback, stop] });
    expect([atBatch.stopped, atBatch.stopReason, atBatch.epochs.length]).toEqual(['callback', 'enough', 0]);
    expect(moments.slice(-2)).toEqual(['batchEnd 2', 'trainEnd']);
  });

  it('replace weights, and training goes on from those', async () => {
    const model = classifier({ optimizer: sgd({ learningRate: 0.1 }) });
    const zeros = model.getWeights().map((values) => values.fill(0.5));
    const restart: Callback = {
      onEpochEnd: (epoch) => {
        if (epoch === 1) model.setWeights(zeros);
      },
    };
    await model.fit(separable(20), { batchSize: 4, epochs: 2, shuffle: false, callbacks: [restart] });
    const fresh = classifier({ optimizer: sgd({ learningRate: 0.1 }) });
    fresh.setWeights(zeros);
    await fresh.fit(separable(20), { batchSize: 4, shuffle: false });
    expect(model.weightsSha256()).toBe(fresh.weightsSha256());
  });

  it.each(['onTrainBegin', 'onEpochBegin', 'onTrainBatchEnd', 'onEpochEnd', 'onTrainEnd'] as const)(
    'an error in %s ends the fit, and the others are told of the end',
    async (moment) => {
      const { moments, callback } = recorder();
      const failing: Callback = {
        [moment]: async () => {
          throw new Error(`broken ${moment}`);
        },
      };
      await expect(classifier().fit(separable(5), { callbacks: [callback, failing] })).rejects.toThrow(
        `broken ${moment}`,
      );
      expect(moments.filter((each) => each === 'trainEnd')).toHaveLength(1);
    },
  );

  it('are told of the end of a fit that is aborted or fails', async () => {
    const aborted = recorder();
    const controller = new AbortController();
    const abort: Callback = { onTrainBatchEnd: () => controller.abort() };
    const options = { batchSize: 2, signal: controller.signal, callbacks: [aborted.callback, abort] };
    const { stopped } = await historyOf(classifier().fit(separable(10), options));
    expect([stopped, aborted.moments.at(-1)]).toEqual(['aborted', 'trainEnd']);

    const failed = recorder();
    const broken = backendWith((session) => {
      session.run = async () => {
        throw new Error('out of order');
      };
    });
    await expect(classifier({ backend: broken }).fit(separable(10), { callbacks: [failed.callback] })).rejects.toThrow(
      'out of order',
    );
    expect(failed.moments.at(-1)).toBe('trainEnd');
  });

  it('refuses a schedule that watches what nobody measures', async () => {
    const schedule = { monitor: 'validationLoss', initialState: () => null, rateAt: () => 0.1, afterEpoch: () => null };
    const model = classifier({ optimizer: sgd({ learningRate: schedule }) });
    await expect(model.fit(separable(5))).rejects.toEqual(
      failure('ERR_ARGUMENT', /one of loss, accuracy, learningRate for the monitor.*"validationLoss".*validationSplit/),
    );
  });
});

describe.each(availableBackends().map((backend) => [titleOf(backend), backend] as const))(
  'batches, %s',
  (_, backend) => {
    it('steps called one by one give the bits and results of a whole run', async () => {
      const options = { batchSize: 8, epochs: 3, validationSplit: 0.2 };
      const whole = classifier({ backend });
      const history = await whole.fit(separable(100), options);
      const stepwise = classifier({ backend });
      const batches: BatchResult[] = [];
      const callback: Callback = {
        onTrainBatchEnd: (_batch, result) => {
          batches.push(result);
        },
      };
      const again = await stepwise.fit(separable(100), { ...options, callbacks: [callback] });
      expect(stepwise.weightsSha256()).toBe(whole.weightsSha256());
      const numbers = ({ epochs }: typeof history) => epochs.map(({ seconds: _seconds, ...rest }) => rest);
      expect(numbers(again)).toEqual(numbers(history));
      expect(batches.map(({ epoch, batch, size }) => [epoch, batch, size]).slice(8, 12)).toEqual([
        [1, 9, 8],
        [1, 10, 8],
        [2, 1, 8],
        [2, 2, 8],
      ]);
      const first = batches.slice(0, 10);
      const mean = first.reduce((sum, { loss, size }) => sum + loss * size, 0) / 80;
      expect(Math.abs(mean - history.epochs[0].loss)).toBeLessThan(1e-12);
    });
  },
);
