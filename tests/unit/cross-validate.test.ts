import { describe, expect, it } from 'vitest';
import { crossValidate, type FoldResult, kFold, type Sequential } from '../../src/index.js';
import { mean, sampleDeviation } from '../../src/statistics.js';
import { classifier, failure, separable } from '../helpers/toy.js';

const data = separable(60);

describe('crossValidate', () => {
  it('gives what training and measuring by hand on each fold gives', async () => {
    const options = { epochs: 3, batchSize: 8, folds: 4, seed: 5 };
    const seen: FoldResult[] = [];
    const result = await crossValidate(({ fold }) => classifier({ seed: fold }), data, {
      ...options,
      onFold: (fold) => void seen.push(fold),
    });
    expect(result.folds).toEqual(seen);
    const losses: number[] = [];
    const accuracies: number[] = [];
    for (const { fold, train, validation } of kFold(data, { folds: 4, seed: 5 })) {
      const model = classifier({ seed: fold });
      const history = await model.fit(train, { epochs: 3, batchSize: 8 });
      const evaluation = await model.evaluate(validation);
      expect(result.folds[fold - 1]).toMatchObject({ fold, folds: 4, evaluation });
      expect(result.folds[fold - 1].history.history.loss).toEqual(history.history.loss);
      losses.push(evaluation.loss);
      accuracies.push(evaluation.accuracy!);
    }
    expect(losses[0]).not.toBe(losses[1]);
    expect(result.mean).toEqual({ loss: mean(losses), accuracy: mean(accuracies) });
    expect(result.deviation).toEqual({ loss: sampleDeviation(losses), accuracy: sampleDeviation(accuracies) });
  });

  it('disposes of every model, also of one that fails', async () => {
    const models: Sequential[] = [];
    const build = () => {
      models.push(classifier());
      return models.at(-1)!;
    };
    await crossValidate(build, data, { folds: 2 });
    const wrong = { ...data, targets: new Uint8Array(60).fill(7) };
    await expect(crossValidate(build, wrong, { folds: 2 })).rejects.toEqual(failure('ERR_DATA', /class index/));
    expect(models).toHaveLength(3);
    for (const model of models) expect(() => model.getWeights()).toThrow(/dispose/);
  });

  it('ends when the signal aborts, and when onFold throws', async () => {
    const controller = new AbortController();
    const seen: number[] = [];
    const aborted = crossValidate(() => classifier(), data, {
      signal: controller.signal,
      onFold: ({ fold }) => {
        seen.push(fold);
        if (fold === 2) controller.abort();
      },
    });
    await expect(aborted).rejects.toEqual(failure('ERR_ABORTED', /aborted in fold 3 of 5/));
    expect(seen).toEqual([1, 2]);
    const onFold = async () => {
      throw new Error('enough');
    };
    await expect(crossValidate(() => classifier(), data, { onFold })).rejects.toThrow('enough');
  });

  it('refuses wrong use', async () => {
    const build = () => classifier();
    await expect(crossValidate(null as never, data)).rejects.toEqual(failure('ERR_ARGUMENT', /build/));
    await expect(crossValidate(() => ({}) as never, data)).rejects.toEqual(failure('ERR_ARGUMENT', /result of build/));
    await expect(crossValidate(build, data, { fold: 1 } as never)).rejects.toEqual(failure('ERR_ARGUMENT', /"fold"/));
    await expect(crossValidate(build, data, { epochs: 0 })).rejects.toEqual(failure('ERR_ARGUMENT', /epochs/));
    const model = classifier();
    await expect(crossValidate(() => model, data)).rejects.toEqual(failure('ERR_STATE', /dispose/));
  });
});

it('mean and sample deviation', () => {
  expect(mean([2, 4, 4, 4, 5, 5, 7, 9])).toBe(5);
  // Sum of squares 32 over n - 1 = 7.
  expect(sampleDeviation([2, 4, 4, 4, 5, 5, 7, 9])).toBe(Math.sqrt(32 / 7));
  expect(sampleDeviation([1])).toBeNaN();
});
