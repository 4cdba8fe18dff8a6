import { categoricalCrossentropy } from '../losses/categorical-crossentropy.js';
import { adam } from '../optimizers/adam.js';
import { oneCycle } from '../schedules/one-cycle.js';
import { convolutionalLayers } from './convolutional.js';
import { makeRecipe } from './recipe.js';

const LEARNING_RATE = 0.01;

/**
 * 99.4 % on MNIST in the least time: two epochs of a convolutional network, on images that move by a pixel.
 *
 * Tried on MNIST, mean accuracy of 5 seeds: two epochs as here 99.47 % in 2.2 s, three 99.50 % in 3.2 s, three with a second
 * window of 5 × 5 99.52 % in 4.3 s, five of those 99.58 % in 6.8 s (4 seeds), four of 8 and 16 filters 99.40 % in 2.2 s. Without
 * batch normalization, five epochs 99.43 % in 5.5 s, and without moving the images 99.29 %; rotation, scale and elastic
 * deformation did not help so short a training.
 */
export const balanced = makeRecipe({
  name: 'balanced',
  summary: 'a convolutional network that reaches 99.4 % on MNIST in the least time',
  dataset: 'mnist',
  measured: { accuracy: 0.9947, trainSeconds: 2.1, seeds: 10, machine: '2 cores of an AMD Zen 4, AVX-512' },
  fit: { epochs: 2, batchSize: 64 },
  optimizer: adam({
    learningRate: oneCycle(LEARNING_RATE, { warmupFraction: 0.25 }),
    beta1: 0.85,
    beta2: 0.97,
  }),
  learningRate: LEARNING_RATE,
  loss: categoricalCrossentropy({ labelSmoothing: 0.05 }),
  augmentation: { shift: 1 },
  layers: (classes) => convolutionalLayers({ filters: [16, 32], kernels: [5, 3], units: 64 }, classes),
});
