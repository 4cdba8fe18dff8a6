import { categoricalCrossentropy } from '../losses/categorical-crossentropy.js';
import { adam } from '../optimizers/adam.js';
import { oneCycle } from '../schedules/one-cycle.js';
import { convolutionalLayers } from './convolutional.js';
import { makeRecipe } from './recipe.js';

const LEARNING_RATE = 0.005;

/**
 * More than 99.6 % on MNIST in a few minutes: thirty epochs of a convolutional network, on images that are moved, turned and
 * scaled anew in every epoch.
 *
 * Tried on MNIST, one or two seeds each: 16 epochs as here 99.62 %. Without batch normalization 16 epochs 99.61 %, and 50 no
 * more (99.57 %); with dropout of a quarter 99.56 % after 20, with a third convolution of 128 filters 99.56 %, with 48 and 96
 * filters 99.47 % after 16. Normalization between a convolution and its pool 99.64 % after 16, but in three times the time.
 */
export const accurate = makeRecipe({
  name: 'accurate',
  summary: 'a convolutional network that goes beyond 99.6 % on MNIST in minutes',
  dataset: 'mnist',
  measured: { accuracy: 0.9967, trainSeconds: 163, seeds: 10, machine: '2 cores of an AMD Zen 4, AVX-512' },
  fit: { epochs: 30, batchSize: 64 },
  optimizer: adam({
    learningRate: oneCycle(LEARNING_RATE, { warmupFraction: 0.25 }),
    beta1: 0.9,
    beta2: 0.99,
  }),
  learningRate: LEARNING_RATE,
  loss: categoricalCrossentropy({ labelSmoothing: 0.05 }),
  augmentation: { shift: 2, rotation: 10, scale: 0.1 },
  layers: (classes) => convolutionalLayers({ filters: [32, 64], kernels: [5, 5], units: 128 }, classes),
});
