import { describe, expect, it } from 'vitest';
import {
  type Callback,
  dense,
  type EarlyStoppingOptions,
  type EpochResult,
  earlyStopping,
  type MonitorMode,
  type Sequential,
  sequential,
  sgd,
} from '../../src/index.js';
import { availableBackends, titleOf } from '../helpers/backends.js';
import { epochsOf, PlayedFit } from '../helpers/callbacks.js';
import { backendWith, classifier, errorOf, failure, historyOf, separable } from '../helpers/toy.js';

/** How many epochs are run, and of which one the weights are at the end. */
async function play(options: EarlyStoppingOptions, values: number[], name = options.monitor ?? 'validationLoss') {
  const fit = new PlayedFit(earlyStopping(options), epochsOf(name, values));
  await fit.run();
  return { epochs: fit.results.length, weightsOf: fit.weights[0][0], reason: fit.stopReason };
}

describe('when earlyStopping ends training', () => {
  // The values of validationLoss of epochs to come and, by Keras's rules, the epoch that is the last.
  it.each<[string, EarlyStoppingOptions, number[], number]>([
    ['never while it gets better', {}, [5, 4, 3, 2, 1], 5],
    ['at the first epoch that is no better', {}, [5, 4, 4, 2, 1], 3],
    ['patience 1 is as 0', { patience: 1 }, [5, 4, 4, 2, 1], 3],
    ['after as many as patience', { patience: 2 }, [5, 4, 4, 4, 1, 1], 4],
    ['not when one of them is better', { patience: 2 }, [5, 4, 4, 3, 3, 2, 2], 7],
    ['compared with the best, not with the one before', { patience: 2 }, [5, 1, 3, 2, 0, 0], 4],
    ['changes up to minDelta do not count', { minDelta: 0.5 }, [5, 4.75, 1], 2],
    ['nor those of exactly minDelta', { minDelta: 0.5 }, [5, 4.5, 1], 2],
    ['greater ones do', { minDelta: 0.5 }, [5, 4.25, 3.5, 3.25, 1], 4],
    ['a baseline that is not reached', { baseline: 2, patience: 2 }, [5, 4, 4, 3, 1], 3],
    ['a baseline that is reached', { baseline: 4.5, patience: 2 }, [5, 4, 4.4, 4.4, 1], 4],
    ['better epochs are run on behind a baseline', { baseline: 1, patience: 1 }, [5, 4, 3, 3, 0], 4],
    ['the first epochs are not looked at', { startFromEpoch: 3 }, [1, 2, 3, 4, 3, 3, 2], 6],
    ['NaN is worse', { patience: 2 }, [5, 4, Number.NaN, Number.NaN, 1], 4],
    ['NaN at first, then numbers', { patience: 3 }, [Number.NaN, Number.NaN, 5, 4, 3, 3, 3, 3, 3], 8],
    ['infinity is worse', { patience: 1, mode: 'max' }, [1, Number.POSITIVE_INFINITY, 2], 2],
    ['never in the first epoch', {}, [Number.NaN, 5, 5, 1], 3],
  ])('%s', async (_title, options, values, last) => {
    const { epochs, reason } = await play(options, values);
    expect(epochs).toBe(last);
    expect(reason === null).toBe(last === values.length);
  });

  it('says why', async () => {
    expect((await play({ patience: 2 }, [5, 1.23456, 3, 3, 3])).reason).toBe(
      'validationLoss was no better than 1.235 of epoch 2 for 2 epochs',
    );
    expect((await play({}, [5, 6, 6])).reason).toBe('validationLoss was no better than 5 of epoch 1 for 1 epoch');
    expect((await play({}, [Number.NaN, Number.NaN, 1])).reason).toBe(
      'validationLoss was not a finite number for 2 epochs',
    );
  });

  it.each<[string, MonitorMode | undefined, 'min' | 'max']>([
    ['loss', undefined, 'min'],
    ['validationLoss', 'auto', 'min'],
    ['validationMeanAbsoluteError', 'auto', 'min'],
    ['validationExpectedCalibrationError', 'auto', 'min'],
    ['accuracy', undefined, 'max'],
    ['validationAccuracy', 'auto', 'max'],
    ['validationPrecision', 'auto', 'max'],
    ['validationMacroRecall', 'auto', 'max'],
    ['validationF1', 'auto', 'max'],
    ['validationTopKAccuracy', 'auto', 'max'],
    ['validationTop5', 'auto', 'max'],
    ['validationR2', 'auto', 'max'],
    ['accuracy', 'min', 'min'],
    ['loss', 'max', 'max'],
  ])('%s in mode %s: better is the %s', async (monitor, mode, way) => {
    const up = await play({ monitor, mode }, [1, 2, 3, 4]);
    const down = await play({ monitor, mode }, [4, 3, 2, 1]);
    expect([up.epochs, down.epochs]).toEqual(way === 'max' ? [4, 2] : [2, 4]);
  });

  it('begins anew with every fit', async () => {
    const callback = earlyStopping({ patience: 2, restoreBestWeights: true });
    for (const values of [
      [1, 2, 3, 4],
      [9, 8, 9, 9, 9],
    ]) {
      const fit = new PlayedFit(callback, epochsOf('validationLoss', values));
      await fit.run();
      expect(fit.results).toHaveLength(values[0] === 1 ? 3 : 4);
      expect(fit.weights[0][0]).toBe(values[0] === 1 ? 1 : 2);
    }
  });
});

describe('restoreBestWeights', () => {
  const options = { patience: 3, restoreBestWeights: true };

  it('goes back when stopped and when the epochs ran out', async () => {
    expect(await play(options, [5, 4, 6, 6, 6, 1])).toMatchObject({ epochs: 5, weightsOf: 2 });
    expect(await play(options, [5, 4, 6, 6])).toMatchObject({ epochs: 4, weightsOf: 2, reason: null });
    expect(await play({ ...options, restoreBestWeights: false }, [5, 4, 6, 6])).toMatchObject({ weightsOf: 4 });
  });

  it('to the best one regardless of the baseline, and among those that are looked at', async () => {
    expect(await play({ ...options, baseline: 1 }, [5, 4, 6, 6])).toMatchObject({ weightsOf: 2 });
    expect(await play({ ...options, startFromEpoch: 1 }, [1, 4, 6, 6])).toMatchObject({ weightsOf: 2 });
  });

  it('leaves the weights alone when no epoch has a finite number', async () => {
    expect(await play(options, [Number.NaN, Number.NaN])).toMatchObject({ epochs: 2, weightsOf: 2 });
  });

  it('never to weights that are not finite, whatever the number says', async () => {
    const fit = new PlayedFit(
      earlyStopping({ monitor: 'loss', restoreBestWeights: true }),
      epochsOf('loss', [3, 2, 1]),
    );
    const { model } = fit.context;
    const { getWeights } = model;
    model.getWeights = () => (fit.results.length === 3 ? [Float32Array.of(Number.NaN)] : getWeights());
    await fit.run();
    expect(fit.weights[0][0]).toBe(2);
  });

  it('passes on an error of the model', async () => {
    const fit = new PlayedFit(earlyStopping(options), epochsOf('validationLoss', [1, 2]));
    fit.context.model.setWeights = () => {
      throw new Error('no room');
    };
    await expect(fit.run()).rejects.toThrow('no room');
  });
});

describe('a resumed earlyStopping', () => {
  const options = { patience: 3, restoreBestWeights: true };
  const numbers = epochsOf('validationLoss', [5, 3, 4, 4.5, 3.5, 1]);

  it.each([1, 2, 3, 4])('goes on after epoch %i as if there had been no interruption', async (done) => {
    const state = await new PlayedFit(earlyStopping(options), numbers).run({ until: done, end: false });
    const callback = earlyStopping(options);
    callback.setState!(state!);
    const fit = new PlayedFit(callback, numbers);
    await fit.run({ done });
    expect(fit.results).toHaveLength(5);
    expect(fit.weights[0][0]).toBe(2);
    expect(fit.stopReason).toBe('validationLoss was no better than 3 of epoch 2 for 3 epochs');
  });

  it('looks for another best epoch when the weights of the one before were not kept', async () => {
    const state = await new PlayedFit(earlyStopping({ patience: 3 }), numbers).run({ until: 2 });
    expect(state).not.toHaveProperty('weights');
    const callback = earlyStopping(options);
    callback.setState!(state!);
    const fit = new PlayedFit(callback, numbers.slice(0, 4));
    await fit.run({ done: 2 });
    expect(fit.weights[0][0]).toBe(3);
  });

  it('refuses the state of another callback, and forgets one that no fit went on from', async () => {
    const hint = /a state with wait for a resumed earlyStopping, .* Resume with the callbacks of the interrupted fit/;
    expect(errorOf(() => earlyStopping().setState!({ values: { lines: 3 } }))).toEqual(failure('ERR_FORMAT', hint));
    expect(errorOf(() => earlyStopping().setState!({ values: null }))).toEqual(failure('ERR_FORMAT', hint));
    const callback = earlyStopping(options);
    callback.setState!({ values: { wait: 2, best: 0, bestEpoch: 1 }, weights: [Float32Array.of(7)] });
    const fit = new PlayedFit(callback, epochsOf('validationLoss', [3, 4]));
    await fit.run();
    expect(fit.weights[0][0]).toBe(1);
  });
});

it('wrong options of earlyStopping are refused', () => {
  const refused: [object, RegExp][] = [
    [{ monitor: 3 }, /for monitor, received 3/],
    [{ mode: 'best' }, /one of auto, min, max for mode, received "best"/],
    [{ minDelta: -1 }, /for minDelta, received -1/],
    [{ patience: 1.5 }, /for patience, received 1.5/],
    [{ patience: -1 }, /for patience, received -1/],
    [{ baseline: Number.NaN }, /for baseline, received NaN/],
    [{ restoreBestWeights: 1 }, /for restoreBestWeights, received 1/],
    [{ startFromEpoch: -1 }, /for startFromEpoch/],
    [{ restore_best_weights: true }, /an option of earlyStopping/],
  ];
  for (const [options, message] of refused) {
    expect(errorOf(() => earlyStopping(options as EarlyStoppingOptions))).toEqual(failure('ERR_ARGUMENT', message));
  }
});

describe.each(availableBackends().map((backend) => [titleOf(backend), backend] as const))(
  'in a fit, %s',
  (_, backend) => {
    const data = separable(60);
    const sgdModel = () => classifier({ backend, optimizer: sgd({ learningRate: 0.05 }) });

    /** Weights after each epoch, and a number that is best in epoch 2. */
    function observer(model: Sequential): { hashes: string[]; callback: Callback } {
      const hashes: string[] = [];
      const callback: Callback = {
        onEpochEnd: (epoch, result: EpochResult) => {
          hashes.push(model.weightsSha256());
          result.loss = epoch === 2 ? 0 : epoch;
        },
      };
      return { hashes, callback };
    }

    it('stops and returns to the best weights', async () => {
      const model = sgdModel();
      const { hashes, callback } = observer(model);
      const stopping = earlyStopping({ monitor: 'loss', patience: 2, restoreBestWeights: true });
      const history = await model.fit(data, { epochs: 9, callbacks: [callback, stopping] });
      expect(history).toMatchObject({ stopped: 'callback', stopReason: expect.stringContaining('loss was no better') });
      expect(hashes).toHaveLength(4);
      expect(new Set(hashes).size).toBe(4);
      expect(model.weightsSha256()).toBe(hashes[1]);
    });

    it('returns to the best weights when the fit is aborted and when it fails', async () => {
      for (const way of ['abort', 'throw']) {
        const model = sgdModel();
        const { hashes, callback } = observer(model);
        const controller = new AbortController();
        const trouble: Callback = {
          onTrainBatchEnd: (_batch, { epoch }) => {
            if (epoch !== 4) return;
            if (way === 'throw') throw new Error('a failure of somebody else');
            controller.abort();
          },
        };
        const stopping = earlyStopping({ monitor: 'loss', patience: 5, restoreBestWeights: true });
        const { signal } = controller;
        const fit = historyOf(
          model.fit(data, { epochs: 9, batchSize: 20, signal, callbacks: [callback, trouble, stopping] }),
        );
        if (way === 'throw') await expect(fit).rejects.toThrow('a failure of somebody else');
        else expect((await fit).stopped).toBe('aborted');
        expect(hashes).toHaveLength(3);
        expect(model.weightsSha256()).toBe(hashes[1]);
      }
    });

    it('returns to the best weights when training diverged', async () => {
      const rate = (step: number) => (step < 9 ? 0.05 : 1e30);
      const layers = [dense({ units: 8, activation: 'relu' }), dense({ units: 3, activation: 'softmax' })];
      const model = sequential(layers, { inputShape: [2, 2, 1], seed: 4, backend });
      model.compile({ optimizer: sgd({ learningRate: rate }), loss: 'categoricalCrossentropy' });
      const { hashes, callback } = observer(model);
      const stopping = earlyStopping({ monitor: 'loss', patience: 5, restoreBestWeights: true });
      const fit = model.fit(data, { epochs: 9, batchSize: 20, callbacks: [callback, stopping] });
      await expect(fit).rejects.toEqual(failure('ERR_NON_FINITE', /finite/));
      expect(hashes.length).toBeGreaterThan(2);
      expect(model.weightsSha256()).toBe(hashes[1]);
    });

    it('names the numbers there are when the one to watch is missing, before the first step', async () => {
      const model = sgdModel();
      const before = model.weightsSha256();
      const train = (monitor?: string) => model.fit(data, { callbacks: [earlyStopping({ monitor })] });
      await expect(train()).rejects.toEqual(
        failure(
          'ERR_ARGUMENT',
          /^Expected one of loss, accuracy, learningRate for monitor of earlyStopping, received "validationLoss"\. Give fit validationSplit or validationData to have it\.$/,
        ),
      );
      await expect(train('val_loss')).rejects.toEqual(
        failure('ERR_ARGUMENT', /one of loss, .* received "val_loss"\.$/),
      );
      expect(model.weightsSha256()).toBe(before);
    });

    it('watches validation', async () => {
      const model = sgdModel();
      const stopping = earlyStopping({ patience: 1, minDelta: 1e9 });
      const history = await model.fit(data, { epochs: 9, validationSplit: 0.5, callbacks: [stopping] });
      expect(history.epochs).toHaveLength(2);
      expect(history.stopReason).toContain('validationLoss was no better');
    });

    it('a model that is disposed of on the way has no weights to go back to', async () => {
      const model = sgdModel();
      const dispose: Callback = { onEpochBegin: (epoch) => (epoch === 3 ? model.dispose() : undefined) };
      const stopping = earlyStopping({ monitor: 'loss', patience: 5, restoreBestWeights: true });
      expect((await historyOf(model.fit(data, { epochs: 9, callbacks: [dispose, stopping] }))).stopped).toBe('aborted');
    });
  },
);

it('an aborted validation is no epoch to judge', async () => {
  const controller = new AbortController();
  const backend = backendWith((session) => {
    const { run } = session;
    session.run = (...work) => {
      if (work[0] === 'evaluate') controller.abort();
      return run.apply(session, work);
    };
  });
  const model = classifier({ backend });
  const stopping = earlyStopping({ restoreBestWeights: true });
  const options = { epochs: 3, validationSplit: 0.5, signal: controller.signal, callbacks: [stopping] };
  const history = await historyOf(model.fit(separable(20), options));
  expect(history.stopped).toBe('aborted');
  expect(stopping.getState!().values).toEqual({ wait: 0, best: null, bestEpoch: 0 });
});
