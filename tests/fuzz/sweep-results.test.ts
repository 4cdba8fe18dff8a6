import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect } from 'vitest';
import { SweepFolder } from '../../src/cli/sweep/folder.js';
import { planSweep } from '../../src/cli/sweep/plan.js';
import { failedTrial, ranked, type TrialResult, trialResult } from '../../src/cli/sweep/results.js';
import { sweepTable } from '../../src/cli/ui/sweep.js';
import { replay } from './helpers/corpus.js';
import { fuzz, type Verdict } from './helpers/fuzz.js';
import { changedJson } from './helpers/json.js';
import { mutated } from './helpers/mutations.js';
import { outcomeOf } from './helpers/outcome.js';

const root = mkdtempSync(join(tmpdir(), 'mnist-train-fuzz-sweep-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const folder = join(root, 'some');
const file = join(folder, 'results.jsonl');

const { description } = planSweep({ grid: ['hidden=8', '16', '32'], random: [], seed: 1, fixed: [] });
const run = { fold: null, validationAccuracy: 0.5, validationLoss: 1, trainSeconds: 2, weightsSha256: 'a'.repeat(64) };
const results: TrialResult[] = [
  trialResult(description.trials[0], [run]),
  failedTrial(description.trials[2], 'a reason'),
];
const LINES = results.map((result) => `${JSON.stringify(result)}\n`).join('');

/** A sweep that is taken up shows what its lines say, best first; a line that is none is refused. */
async function check(bytes: Uint8Array): Promise<Verdict> {
  rmSync(folder, { recursive: true, force: true });
  (await SweepFolder.open(folder, description)).close();
  writeFileSync(file, bytes);
  const outcome = await outcomeOf(() => SweepFolder.open(folder, description), { codes: ['ERR_FORMAT'], source: file });
  if ('refused' in outcome) return 'refused';
  const opened = outcome.value;
  opened.close();
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
  for (const result of opened.results) expect(lines.map((line) => JSON.parse(line))).toContainEqual(result);
  expect(opened.torn).toBe(bytes.length > 0 && bytes.at(-1) !== 0x0a);
  if (opened.results.length === 0) return 'accepted';
  expect(ranked(opened.results)).toHaveLength(opened.results.length);
  expect(sweepTable(opened.results).split('\n').length).toBeGreaterThan(opened.results.length);
  for (const { trial, options } of opened.results) expect(options).toEqual(description.trials[trial - 1].options);
  return 'accepted';
}

describe('results of sweeps', () => {
  fuzz(
    'sweep-results',
    mutated([Buffer.from(LINES), Buffer.alloc(0)], { words: ['\n', '{', '}', 'null', '""', '-1', '[]', '1e999'] }),
    ({ bytes }) => check(bytes),
    { runs: 60 },
  );
  fuzz(
    'sweep-results-values',
    fc.array(
      changedJson(() => results),
      { maxLength: 3 },
    ),
    (list) => check(Buffer.from(list.map((each) => `${JSON.stringify(each)}\n`).join(''))),
    { runs: 60 },
  );
  replay('sweep-results', check);
});
