import { categoricalCrossentropy } from '../losses/categorical-crossentropy.js';
import { adam } from '../optimizers/adam.js';
import { oneCycle } from '../schedules/one-cycle.js';
import { convolutionalLayers } from './convolutional.js';
import { makeRecipe } from './recipe.js';

const LEARNING_RATE = 0.01;

/**
 * 99 % on MNIST in the least time: one epoch of a small convolutional network.
 *
 * Tried on MNIST with one epoch at batch 64, mean accuracy of 6 seeds: 16 and 32 filters 99.25 % in 1.2 s, 16 and 16 99.18 %, 8
 * and 32 99.13 %, 8 and 16 as here 99.10 % in 0.51 s, the second window 5 × 5 99.09 % in 0.62 s, without the dense layer 98.80 %.
 * Without batch normalization, of 6 to 8 seeds: 16 and 32 filters 99.12 % (label smoothing 0.1; 0.05 99.10 %, none 98.98 %),
 * 8 and 16 98.88 %. Low momenta suit a short training, β 0.9 and 0.98 need a second epoch.
 */
export const cnn = makeRecipe({
  name: 'cnn',
  summary: 'a convolutional network that reaches 99 % on MNIST in the least time',
  dataset: 'mnist',
  measured: { accuracy: 0.9904, trainSeconds: 0.53, seeds: 10, machine: '2 cores of an AMD Zen 4, AVX-512' },
  fit: { epochs: 1, batchSize: 64 },
  optimizer: adam({
    learningRate: oneCycle(LEARNING_RATE, { warmupFraction: 0.25 }),
    beta1: 0.7,
    beta2: 0.9,
  }),
  learningRate: LEARNING_RATE,
  loss: categoricalCrossentropy({ labelSmoothing: 0.1 }),
  layers: (classes) => convolutionalLayers({ filters: [8, 16], kernels: [5, 3], units: 64 }, classes),
});
