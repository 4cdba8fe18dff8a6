import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { adagrad, adam, adamw, dense, lion, rmsprop, sequential, sgd } from '../../src/index.js';
import { availableBackends, titleOf } from '../helpers/backends.js';
import { expectClose, type Numbers, yardstick } from '../helpers/golden.js';

const OPTIMIZERS = { sgd, adam, adamw, rmsprop, adagrad, lion };
const NAMES = ['0.weight', '0.bias', '1.weight', '1.bias'] as const;
type Name = (typeof NAMES)[number];

interface Golden {
  rows: number;
  inputs: Numbers;
  targets: Numbers;
  units: [number, number];
  parameters: Record<Name, Numbers>;
  cases: {
    name: string;
    kind: keyof typeof OPTIMIZERS;
    options: Record<string, number | boolean>;
    losses: Numbers;
    /** What users see after the last step: averages where there are some. */
    parameters: Record<Name, Numbers>;
    float32Deviation: Record<Name | 'losses', number>;
  }[];
}

/** Made by make-golden-optimizers.py. */
const golden: Golden = JSON.parse(readFileSync(new URL('golden-optimizers.json', import.meta.url), 'utf8'));
const data = { inputs: Float32Array.from(golden.inputs), targets: Int32Array.from(golden.targets) };

it('covers every optimizer', () => {
  expect([...new Set(golden.cases.map(({ kind }) => kind))].sort()).toEqual(Object.keys(OPTIMIZERS).sort());
});

describe.each(availableBackends().map((backend) => [titleOf(backend), backend] as const))('%s', (_title, backend) => {
  it.each(golden.cases)('ten steps of $name', async ({ kind, options, losses, parameters, float32Deviation }) => {
    const [hidden, classes] = golden.units;
    const layers = [dense({ units: hidden, activation: 'tanh' }), dense({ units: classes, activation: 'softmax' })];
    const model = sequential(layers, { inputShape: [golden.inputs.length / golden.rows], backend });
    try {
      model.compile({ optimizer: OPTIMIZERS[kind](options), loss: 'categoricalCrossentropy' });
      model.setWeights(NAMES.map((name) => Float32Array.from(golden.parameters[name])));
      const steps = losses.length;
      const { epochs } = await model.fit(data, { batchSize: golden.rows, epochs: steps });
      const found = epochs.map(({ loss }) => loss);
      expectClose(found, losses, yardstick(float32Deviation.losses, losses, steps), 'losses');
      model.getWeights().forEach((values, place) => {
        const name = NAMES[place];
        const tolerance = yardstick(float32Deviation[name], parameters[name], steps);
        expectClose(values, parameters[name], tolerance, name);
      });
    } finally {
      model.dispose();
    }
  });
});
