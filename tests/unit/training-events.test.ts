import { describe, expect, it } from 'vitest';
import { dense, sequential, type TrainingAbortedError, type TrainingEvent } from '../../src/index.js';
import { availableBackends, titleOf } from '../helpers/backends.js';
import { classifier, failure, separable } from '../helpers/toy.js';

const data = separable(200);
/** Minutes of work, for what is stopped. */
const endless = { epochs: 1_000_000, batchSize: 4 };

describe.each(availableBackends().map((backend) => ({ title: titleOf(backend), backend })))(
  'train with $title',
  ({ backend }) => {
    it('gives every epoch and the end, and trains as fit does', async () => {
      const model = classifier({ backend });
      const events: TrainingEvent[] = [];
      for await (const event of model.train(data, { epochs: 3, validationSplit: 0.2 })) events.push(event);
      const other = classifier({ backend });
      const history = await other.fit(data, { epochs: 3, validationSplit: 0.2 });
      expect(model.weightsSha256()).toBe(other.weightsSha256());
      const results = events.flatMap((event) => (event.event === 'epoch' ? [{ ...event.result, seconds: 0 }] : []));
      expect(results).toEqual(history.epochs.map((epoch) => ({ ...epoch, seconds: 0 })));
      expect(events.at(-1)).toMatchObject({ event: 'done', history: { stopped: 'completed' } });
      expect(events.filter(({ event }) => event === 'done')).toHaveLength(1);
    });

    it('shows progress, of the running epoch', async () => {
      const model = classifier({ backend });
      const seen: TrainingEvent[] = [];
      for await (const event of model.train(data, endless)) {
        seen.push(event);
        if (event.event === 'progress') break;
      }
      const last = seen.at(-1);
      expect(last?.event === 'progress' && last.progress).toMatchObject({
        steps: 50,
        count: 200,
        epochs: endless.epochs,
      });
    });

    it('leaves out no epoch where the reader is slow', async () => {
      const epochs: number[] = [];
      for await (const event of classifier({ backend }).train(data, { epochs: 8, batchSize: 200 })) {
        if (event.event === 'epoch') epochs.push(event.result.epoch);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      expect(epochs).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    });

    it('ends training when the loop is left', async () => {
      const model = classifier({ backend });
      for await (const event of model.train(data, endless)) if (event.event === 'epoch') break;
      // The fit has ended: what would be refused during one is not.
      const weights = model.getWeights();
      model.setWeights(weights);
      await model.fit(data, { epochs: 1 });
    });

    it('ends training when the reader throws', async () => {
      const model = classifier({ backend });
      const reading = (async () => {
        for await (const _ of model.train(data, endless)) throw new Error('enough');
      })();
      await expect(reading).rejects.toThrow('enough');
      await model.fit(data, { epochs: 1 });
    });

    it('throws what the signal says', async () => {
      const model = classifier({ backend });
      const controller = new AbortController();
      const reason = new Error('the user left');
      const reading = (async () => {
        for await (const event of model.train(data, { ...endless, signal: controller.signal })) {
          if (event.event === 'epoch') controller.abort(reason);
        }
      })();
      const error = (await reading.catch((caught) => caught)) as TrainingAbortedError;
      expect(error).toMatchObject({ name: 'TrainingAbortedError', code: 'ERR_ABORTED', cause: reason });
      expect(error.history.epochs.length).toBeGreaterThan(0);
      expect(error.history.stopped).toBe('aborted');
    });
  },
);

describe('fit', () => {
  it('rejects with what was done when its signal aborts', async () => {
    const model = classifier();
    const reason = new Error('no more');
    const controller = new AbortController();
    const onEpochEnd = ({ epoch }: { epoch: number }) => {
      if (epoch === 2) controller.abort(reason);
    };
    const error = await model.fit(data, { epochs: 9, signal: controller.signal, onEpochEnd }).catch((caught) => caught);
    expect(error).toMatchObject({ name: 'TrainingAbortedError', code: 'ERR_ABORTED', cause: reason });
    expect(error.history.epochs.map(({ epoch }: { epoch: number }) => epoch)).toEqual([1, 2]);
    const two = classifier();
    await two.fit(data, { epochs: 2 });
    expect(model.weightsSha256()).toBe(two.weightsSha256());
  });

  it('trains nothing when the signal was aborted before', async () => {
    const model = classifier();
    const before = model.weightsSha256();
    await expect(model.fit(data, { signal: AbortSignal.abort() })).rejects.toThrow(failure('ERR_ABORTED', /aborted/));
    expect(model.weightsSha256()).toBe(before);
  });
});

describe('train refuses', () => {
  it('wrong options, and what fit refuses, in the first step of the loop', async () => {
    const next = (options: unknown) =>
      classifier()
        .train(data, options as never)
        .next();
    await expect(next({ epoch: 1 })).rejects.toThrow(failure('ERR_ARGUMENT', /an option of train.*"epoch"/));
    await expect(next(5)).rejects.toThrow(failure('ERR_ARGUMENT', /options of train/));
    await expect(next({ epochs: 0 })).rejects.toThrow(failure('ERR_ARGUMENT', /epochs/));
    await expect(next({ signal: {} })).rejects.toThrow(failure('ERR_ARGUMENT', /AbortSignal/));
    const bare = sequential([dense({ units: 1 })], { inputShape: [4], backend: 'js' });
    await expect(bare.train(data).next()).rejects.toThrow(failure('ERR_STATE', /compile/));
  });
});
