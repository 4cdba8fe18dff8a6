import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { SweepFolder } from '../../src/cli/sweep/folder.js';
import { planSweep } from '../../src/cli/sweep/plan.js';
import { failedTrial, ranked, type TrialResult, trialResult } from '../../src/cli/sweep/results.js';
import { type Job, type Outcome, runSweep, type SweepWork } from '../../src/cli/sweep/run.js';
import { sweepTable, trialLine } from '../../src/cli/ui/sweep.js';
import { temporaryFolder } from '../helpers/small-dataset.js';
import { failure } from '../helpers/toy.js';

const PLAN = planSweep({ grid: ['hidden=8', '16', '32'], random: [], seed: 0, fixed: [] });
const [FIRST, SECOND, THIRD] = PLAN.trials;

const run = (fold: number | null, validationAccuracy: number, validationLoss = 0.5) => ({
  fold,
  validationAccuracy,
  validationLoss,
  trainSeconds: 2,
  weightsSha256: 'abc',
});

describe('results', () => {
  it('are means over folds with their deviation, and folds in order', () => {
    const result = trialResult(SECOND, [run(2, 0.9, 0.4), run(1, 0.8, 0.6)]);
    expect(result).toMatchObject({ trial: 2, options: { hidden: '16' }, validationLoss: 0.5, trainSeconds: 4 });
    expect(result.validationAccuracy).toBeCloseTo(0.85, 12);
    expect(result.deviation).toBeCloseTo(0.1 / Math.SQRT2, 12);
    expect(result.runs.map(({ fold }) => fold)).toEqual([1, 2]);
    expect(trialResult(FIRST, [run(null, 0.75)])).toMatchObject({ validationAccuracy: 0.75, deviation: null });
  });

  it('are ranked by accuracy, then by loss, failed ones last', () => {
    const results = [
      failedTrial(FIRST, 'why'),
      trialResult(SECOND, [run(null, 0.9, 0.5)]),
      trialResult(THIRD, [run(null, 0.9, 0.4)]),
    ];
    expect(ranked(results).map(({ trial }) => trial)).toEqual([3, 2, 1]);
    expect(sweepTable(results)).toBe(
      [
        'trial  hidden  accuracy    loss    time',
        '    3      32   90.00 %  0.4000  2.00 s',
        '    2      16   90.00 %  0.5000  2.00 s',
        '    1       8    failed',
      ].join('\n'),
    );
    expect(trialLine(results[0], 12)).toBe('Trial  1/12  hidden 8  failed: why');
    const folded = trialResult(SECOND, [run(1, 0.9), run(2, 0.9)]);
    expect(trialLine(folded, 3)).toBe('Trial 2/3  hidden 16  accuracy 90.00 % ± 0.00 %  4.00 s');
  });
});

/** Trainings that end when the test says so. */
class Trainings {
  readonly started: string[] = [];
  readonly #waiting = new Map<string, (outcome: Outcome | Error) => void>();
  readonly results: TrialResult[] = [];
  readonly progress: number[] = [];
  readonly #shares = new Map<string, (share: number) => void>();

  work(part: Partial<SweepWork> = {}): SweepWork {
    return {
      trials: PLAN.trials,
      folds: [null],
      parallel: 2,
      signal: new AbortController().signal,
      train: ({ trial, fold }: Job, signal, onShare) => {
        const name = `${trial.trial}${fold === null ? '' : `/${fold}`}`;
        this.started.push(name);
        this.#shares.set(name, onShare);
        return new Promise((resolve, reject) => {
          signal.addEventListener('abort', () => resolve(null));
          this.#waiting.set(name, (outcome) => (outcome instanceof Error ? reject(outcome) : resolve(outcome)));
        });
      },
      onResult: (result) => this.results.push(result),
      onProgress: (done) => this.progress.push(done),
      ...part,
    };
  }

  share(name: string, share: number): void {
    this.#shares.get(name)!(share);
  }

  async end(name: string, outcome: Outcome | Error = run(null, 0.5)): Promise<void> {
    this.#waiting.get(name)!(outcome);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('runSweep', () => {
  it('runs so many trainings at a time and begins the next when one ends', async () => {
    const trainings = new Trainings();
    const sweep = runSweep(trainings.work());
    expect(trainings.started).toEqual(['1', '2']);
    await trainings.end('2');
    expect(trainings.started).toEqual(['1', '2', '3']);
    trainings.share('1', 0.5);
    await trainings.end('3');
    await trainings.end('1');
    await sweep;
    expect(trainings.results.map(({ trial }) => trial)).toEqual([2, 3, 1]);
    expect(trainings.progress).toEqual([1, 1.5, 2.5, 3]);
  });

  it('gives a trial its result with its last fold', async () => {
    const trainings = new Trainings();
    const sweep = runSweep(trainings.work({ trials: [FIRST], folds: [1, 2, 3] }));
    await trainings.end('1/2', run(2, 0.8));
    await trainings.end('1/1', run(1, 0.6));
    expect(trainings.results).toEqual([]);
    await trainings.end('1/3', run(3, 0.7));
    await sweep;
    expect(trainings.results[0].runs).toEqual([run(1, 0.6), run(2, 0.8), run(3, 0.7)]);
  });

  it('goes on after a failure, without the other folds of that trial', async () => {
    const trainings = new Trainings();
    const sweep = runSweep(trainings.work({ trials: [FIRST, SECOND], folds: [1, 2, 3], parallel: 1 }));
    await trainings.end('1/1', run(1, 0.6));
    await trainings.end('1/2', { error: 'diverged' });
    for (const fold of [1, 2, 3]) await trainings.end(`2/${fold}`, run(fold, 0.7));
    await sweep;
    expect(trainings.started).toEqual(['1/1', '1/2', '2/1', '2/2', '2/3']);
    expect(trainings.results[0]).toMatchObject({ trial: 1, error: 'Fold 2 of 3: diverged', validationAccuracy: null });
    expect(trainings.results[1].error).toBeUndefined();
    expect(trainings.progress.at(-1)).toBe(6);
  });

  it('begins nothing after the signal, and ends when those in flight have', async () => {
    const trainings = new Trainings();
    const controller = new AbortController();
    const sweep = runSweep(trainings.work({ signal: controller.signal }));
    controller.abort();
    await sweep;
    expect(trainings.started).toEqual(['1', '2']);
    expect(trainings.results).toEqual([]);
  });

  it('stops the others before it throws', async () => {
    const trainings = new Trainings();
    const sweep = runSweep(trainings.work());
    const rejected = expect(sweep).rejects.toThrow('no process');
    await trainings.end('1', new Error('no process'));
    await rejected;
    expect(trainings.started).toEqual(['1', '2']);
  });
});

describe('the folder of a sweep', () => {
  const open = (folder: string, description = PLAN.description) => SweepFolder.open(folder, description);
  const RESULT = trialResult(FIRST, [run(null, 0.5)]);

  it('holds the description and a line for each result, and gives them back', async () => {
    const path = join(temporaryFolder(), 'a', 'b');
    const folder = await open(path);
    expect(folder.results).toEqual([]);
    expect(existsSync(join(path, 'running'))).toBe(true);
    folder.add(RESULT);
    folder.add(failedTrial(THIRD, 'why'));
    folder.close();
    expect(readdirSync(path).sort()).toEqual(['results.jsonl', 'sweep.json']);
    const again = await open(path);
    expect(again.results).toEqual([RESULT, failedTrial(THIRD, 'why')]);
    expect(again.torn).toBe(false);
    again.close();
  });

  it('leaves out a torn last line and cuts it off, whatever the place of the tear', async () => {
    const line = `${JSON.stringify(RESULT)}\n`;
    for (const length of [1, 20, line.length - 1]) {
      const path = temporaryFolder();
      const folder = await open(path);
      folder.add(failedTrial(SECOND, 'ü'));
      folder.close();
      appendFileSync(join(path, 'results.jsonl'), line.slice(0, length));
      const again = await open(path);
      expect(again.torn).toBe(true);
      expect(again.results).toEqual([failedTrial(SECOND, 'ü')]);
      again.add(RESULT);
      again.close();
      const whole = await open(path);
      expect(whole.results.map(({ trial }) => trial)).toEqual([2, 1]);
      whole.close();
    }
  });

  it('refuses another sweep, and says what differs', async () => {
    const path = temporaryFolder();
    (await open(path)).close();
    const other = (part: object) => open(path, { ...PLAN.description, ...part });
    await expect(other({ fixed: ['--epochs', '9'] })).rejects.toThrow(/received another: the options of train differ/);
    await expect(other({ folds: 5 })).rejects.toThrow(/numbers of folds differ\. Choose another folder/);
    await expect(other({ grid: [] })).rejects.toThrow(/values of --grid differ/);
    // A refused one leaves no lock behind.
    (await open(path)).close();
  });

  it('refuses damaged files, results of other trials, and results without a description', async () => {
    const path = temporaryFolder();
    const results = join(path, 'results.jsonl');
    writeFileSync(results, '');
    await expect(open(path)).rejects.toThrow(/Expected sweep\.json beside results\.jsonl/);
    writeFileSync(join(path, 'sweep.json'), '{');
    await expect(open(path)).rejects.toEqual(failure('ERR_FORMAT', /JSON in .*sweep\.json/));
    writeFileSync(join(path, 'sweep.json'), JSON.stringify(PLAN.description));
    for (const line of ['{"trial":', JSON.stringify({ ...RESULT, trial: 2 }), '{"trial":9}', 'null']) {
      writeFileSync(results, `${JSON.stringify(RESULT)}\n${line}\n`);
      await expect(open(path)).rejects.toEqual(failure('ERR_FORMAT', /line 2 of .*results\.jsonl/));
    }
    const file = join(path, 'file');
    writeFileSync(file, '');
    await expect(open(file)).rejects.toThrow(/Expected the name of a folder for --out/);
  });

  it('is for one process at a time; a lock of a process that is gone is taken over', async () => {
    const path = temporaryFolder();
    const lock = join(path, 'lock');
    writeFileSync(lock, String(process.ppid));
    await expect(open(path)).rejects.toThrow(new RegExp(`process ${process.ppid} does.*remove .*lock`));
    expect(readFileSync(lock, 'utf8')).toBe(String(process.ppid));
    writeFileSync(lock, '4194305'); // above the greatest number of a process
    (await open(path)).close();
    expect(existsSync(lock)).toBe(false);
  });

  it('keeps models or removes them, and what a killed run left', async () => {
    const path = temporaryFolder();
    mkdirSync(join(path, 'running'));
    writeFileSync(join(path, 'running', 'left'), '');
    const folder = await open(path);
    expect(readdirSync(join(path, 'running'))).toEqual([]);
    writeFileSync(folder.modelFile(1, null), 'one');
    writeFileSync(folder.modelFile(2, 3), 'two');
    folder.settleModel(1, null, false);
    folder.settleModel(2, 3, true);
    folder.close();
    expect(readdirSync(path).sort()).toEqual(['models', 'sweep.json']);
    expect(readdirSync(join(path, 'models'))).toEqual(['trial-2-fold-3.safetensors']);
  });
});
