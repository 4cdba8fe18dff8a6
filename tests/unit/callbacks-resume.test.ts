import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  type Callback,
  csvLogger,
  earlyStopping,
  type FitOptions,
  jsonLinesLogger,
  modelCheckpoint,
  sgd,
  tensorBoard,
} from '../../src/index.js';
import { availableBackends, titleOf } from '../helpers/backends.js';
import { temporaryFolder } from '../helpers/small-dataset.js';
import { runOf } from '../helpers/tfevents.js';
import { classifier, historyOf, separable } from '../helpers/toy.js';

/** Best in epoch 3; early stopping ends the fit at epoch 6. */
const LOSSES = [5, 4, 1, 3, 2, 3, 0, 0];
const STEPS = 4;

// Instruction sets do not differ in this.
describe.each(
  availableBackends()
    .slice(0, 2)
    .map((backend) => [titleOf(backend), backend] as const),
)('callbacks of a resumed fit, %s', (_, backend) => {
  /** A run with all of them; `interrupt` may end it. Its files are in `root`. */
  async function run(root: string, interrupt: Callback = {}, options: FitOptions = {}) {
    const model = classifier({ backend, optimizer: sgd({ learningRate: 0.05, momentum: 0.9 }) });
    const steer: Callback = {
      onEpochEnd: (epoch, result) => {
        result.validationLoss = LOSSES[epoch - 1];
        result.seconds = 1;
      },
    };
    try {
      const history = await historyOf(
        model.fit(separable(50), {
          epochs: LOSSES.length,
          batchSize: 10,
          validationSplit: 0.2,
          callbacks: [
            steer,
            csvLogger(join(root, 'log.csv')),
            jsonLinesLogger(join(root, 'log.jsonl')),
            modelCheckpoint({ path: join(root, 'models', '{epoch:1}'), keep: 2, saveLast: join(root, 'last') }),
            tensorBoard({ logDirectory: join(root, 'logs'), updateFrequency: 'batch' }),
            earlyStopping({ patience: 3, restoreBestWeights: true }),
            interrupt,
          ],
          checkpoint: { directory: join(root, 'checkpoints'), everySteps: 3, resume: true },
          ...options,
        }),
      );
      return { stopped: history.stopped, reason: history.stopReason, weights: model.weightsSha256() };
    } finally {
      model.dispose();
    }
  }

  const filesOf = (root: string) => ({
    csv: readFileSync(join(root, 'log.csv'), 'utf8'),
    jsonl: readFileSync(join(root, 'log.jsonl'), 'utf8'),
    models: readdirSync(join(root, 'models')).sort(),
    last: readFileSync(join(root, 'last')),
    train: runOf(join(root, 'logs'), 'train'),
    validation: runOf(join(root, 'logs'), 'validation'),
  });
  const newRoot = () => join(temporaryFolder(), 'run');

  it('go on as if there had been no interruption', async () => {
    const peaceful = newRoot();
    const wanted = await run(peaceful);
    expect(wanted).toMatchObject({ stopped: 'callback', reason: expect.stringContaining('of epoch 3 for 3 epochs') });
    const files = filesOf(peaceful);
    expect(files.csv.trimEnd().split('\n')).toHaveLength(7);
    expect(files.models).toEqual(['3', '5', '6']);
    expect(files.train.filter(([, scalars]) => 'batch_loss' in scalars).map(([step]) => step)).toEqual(
      Array.from({ length: 6 * STEPS }, (__, index) => index + 1),
    );

    for (const way of ['abort', 'failure'] as const) {
      const root = newRoot();
      // In the middle of the first epoch, in others, and at the end of the best one.
      for (const at of [way === 'abort' ? 2 : 4, 7, 12, 18, 23]) {
        const controller = new AbortController();
        const interrupt: Callback = {
          onTrainBatchEnd: (__, ___, { step }) => {
            if (step !== at) return;
            if (way === 'failure') throw new Error('killed');
            controller.abort();
          },
        };
        const running = run(root, interrupt, { signal: controller.signal });
        if (way === 'failure') await expect(running).rejects.toThrow('killed');
        else expect((await running).stopped).toBe('aborted');
      }
      expect(await run(root)).toEqual(wanted);
      expect(filesOf(root)).toEqual(files);
      // A fit that has ended stays as it is.
      expect(await run(root)).toEqual(wanted);
      expect(filesOf(root)).toEqual(files);
    }
  });

  it('an epoch whose validation was cut short is written once', async () => {
    const root = newRoot();
    const controller = new AbortController();
    const abort: Callback = { onTestBegin: ({ step }) => (step === 2 * STEPS ? controller.abort() : undefined) };
    expect((await run(root, abort, { signal: controller.signal })).stopped).toBe('aborted');
    expect(existsSync(join(root, 'log.csv'))).toBe(true);
    await run(root);
    expect(filesOf(root).csv).toMatch(/^epoch,.*\n1,.*\n2,.*\n3,.*\n4,.*\n5,.*\n6,.*\n$/);
  });
});
