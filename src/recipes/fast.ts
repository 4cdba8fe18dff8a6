import { dense } from '../layers/dense.js';
import { categoricalCrossentropy } from '../losses/categorical-crossentropy.js';
import { adam } from '../optimizers/adam.js';
import { oneCycle } from '../schedules/one-cycle.js';
import { makeRecipe } from './recipe.js';

const LEARNING_RATE = 0.007;

/**
 * 98 % on MNIST in the least time: two epochs of a dense network.
 *
 * Two epochs are short for Adam: a second moment that forgets sooner (β2 = 0.95) follows the learning rate's rise and
 * fall. Tried on MNIST, mean accuracy and median seconds of 20 seeds: 160 units as here 98.11 % in 0.17 s, with label
 * smoothing 0.1 98.10 %; 192 units 98.19 % in 0.21 s. Of 10 seeds: 128 units at batch 64 and learning rate 0.005 98.02 %
 * in 0.15 s, at batch 96 97.96 % in 0.13 s; 160 units at learning rate 0.006 with β 0.9 and 0.98 98.03 %. Of 6 seeds: one
 * epoch of 256 units 97.71 % in 0.13 s.
 */
export const fast = makeRecipe({
  name: 'fast',
  summary: 'a dense network that reaches 98 % on MNIST in the least time',
  dataset: 'mnist',
  measured: { accuracy: 0.9805, trainSeconds: 0.16, seeds: 20, machine: '2 cores of an AMD Zen 4, AVX-512' },
  fit: { epochs: 2, batchSize: 128 },
  optimizer: adam({
    learningRate: oneCycle(LEARNING_RATE, { warmupFraction: 0.25 }),
    beta1: 0.85,
    beta2: 0.95,
  }),
  learningRate: LEARNING_RATE,
  loss: categoricalCrossentropy({ labelSmoothing: 0.05 }),
  layers: (classes) => [
    dense({ units: 160, activation: 'relu', kernelInitializer: 'heNormal' }),
    dense({ units: classes, activation: 'softmax' }),
  ],
});
