import type { Backend, Session } from '../../src/backends/backend.js';
import { createJsBackend } from '../../src/backends/js/backend.js';
import type { Dataset } from '../../src/data/dataset.js';
import type { ErrorCode, MnistTrainError } from '../../src/errors.js';
import {
  type CompileOptions,
  dense,
  type History,
  type Layer,
  type Sequential,
  sequential,
  TrainingAbortedError,
} from '../../src/index.js';
import { RandomPurpose, RandomStream } from '../../src/random.js';

/** The backend of these tests: they are about the model, which is the same on either. */
export const backend = createJsBackend();

/** The backend with sessions that `change` has altered, to see or to steer what a model asks of them. */
export function backendWith(change: (session: Session) => void): Backend {
  const open: Backend['open'] = (program, options) => {
    const session = backend.open(program, options);
    change(session);
    return session;
  };
  return { ...backend, open };
}

/** The four points of exclusive or, each `copies` times. */
export function xorSamples(copies = 1): { inputs: Float32Array; targets: Float32Array; classes: Uint8Array } {
  const inputs: number[] = [];
  const targets: number[] = [];
  for (let copy = 0; copy < copies; copy++) {
    inputs.push(0, 0, 0, 1, 1, 0, 1, 1);
    targets.push(0, 1, 1, 0);
  }
  return { inputs: Float32Array.from(inputs), targets: Float32Array.from(targets), classes: Uint8Array.from(targets) };
}

/** `classes` clouds of 2 x 2 pixels, far apart: class c is bright at pixel c. */
export function separable(count: number, classes = 3, seed = 7): Dataset {
  const stream = new RandomStream(seed, RandomPurpose.augment);
  const inputs = new Uint8Array(count * 4);
  const targets = new Uint8Array(count);
  for (let sample = 0; sample < count; sample++) {
    targets[sample] = stream.below(classes);
    for (let pixel = 0; pixel < 4; pixel++) {
      inputs[sample * 4 + pixel] = stream.below(60) + (pixel === targets[sample] ? 180 : 0);
    }
  }
  return { inputs, targets, count, shape: [2, 2, 1] };
}

export const softmaxLayers = (): Layer[] => [
  dense({ units: 5, activation: 'tanh' }),
  dense({ units: 3, activation: 'softmax' }),
];

/** A small classifier of 2 x 2 images into 3 classes, compiled. */
export function classifier(options: { seed?: number } & Partial<CompileOptions> = {}): Sequential {
  const { seed = 42, optimizer = 'adam', loss = 'categoricalCrossentropy' } = options;
  const model = sequential(softmaxLayers(), { inputShape: [2, 2, 1], seed, backend: options.backend ?? backend });
  model.compile({ optimizer, loss, metrics: options.metrics });
  return model;
}

/** What `expect(...).toThrow` and `rejects.toThrow` take: an error of this code whose message has these words. */
export function failure(code: ErrorCode, message: RegExp) {
  return {
    asymmetricMatch: (error: MnistTrainError) => error?.code === code && message.test(error.message),
    toString: () => `failure(${code}, ${message})`,
  };
}

/** Calls and returns the error: for what throws at once. */
export function errorOf(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error('Expected an error, and nothing was thrown.');
}

/** The history of a fit that ended, or that its signal or a disposal aborted. */
export async function historyOf(fit: Promise<History>): Promise<History> {
  try {
    return await fit;
  } catch (error) {
    if (error instanceof TrainingAbortedError) return error.history;
    throw error;
  }
}
