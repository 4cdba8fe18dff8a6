import { checkInteger, checkNumber, expected } from '../errors.js';
import { checkOptions, type OptionNames } from '../options.js';
import type { ProgramBuilder } from '../program/builder.js';
import { AUGMENT_LIMITS, type AugmentOp, type BufferName, type ScalarIndex } from '../program/ops.js';

/**
 * How training images are changed before each step, every time anew: each image is moved, then turned, stretched and
 * slanted about its centre, then bent, and at last partly erased. What comes from outside the image is 0. All of it is off
 * by default.
 */
export interface AugmentationOptions {
  /**
   * By up to so many pixels up or down, and left or right: a whole number from 0 to 8, every whole step equally likely. By
   * itself (or with `erase`), pixels are copied as they are; all that follows interpolates.
   */
  shift?: number;
  /** By up to so many degrees either way, from 0 to 45. */
  rotation?: number;
  /** Height and width times a factor from 1 - scale to 1 + scale; from 0 to 0.5. */
  scale?: number;
  /** The width besides times a factor from 1 - aspect to 1 + aspect; from 0 to 0.5. */
  aspect?: number;
  /** Slanted by up to so many pixels to the side for a pixel of height, from 0 to 0.5. */
  shear?: number;
  /**
   * Bent by a smooth field: a cubic B-spline over displacements of up to `alpha` pixels (0 to 16) up or down and left or
   * right, at the nodes of a grid `spacing` pixels wide (a whole number from 2 to 64). A typical displacement is a quarter
   * of alpha. Strokes stay whole as long as alpha is below half of the spacing. Simard, Steinkraus and Platt, "Best
   * practices for convolutional neural networks applied to visual document analysis" (2003), smoothed noise instead.
   */
  elastic?: { alpha: number; spacing: number };
  /**
   * With this probability (0 to 1), sets a rectangle to 0: 1 to `size` pixels high and wide, anywhere inside the image.
   * `size` is a whole number, at most the image's shorter side. Zhong et al., "Random erasing data augmentation" (2017).
   */
  erase?: { probability: number; size: number };
}

const OPTIONS: OptionNames<AugmentationOptions> = {
  shift: true,
  rotation: true,
  scale: true,
  aspect: true,
  shear: true,
  elastic: true,
  erase: true,
};

/** Options that were checked, as the fields of the op. */
export type Augmentation = Omit<AugmentOp, 'op' | 'input' | 'output' | 'seedLow' | 'seedHigh' | 'epoch'>;

/**
 * Checks the options for a model of this input. Null where nothing is to be changed. Throws ERR_ARGUMENT, or ERR_SHAPE where
 * the input is no image.
 */
export function resolveAugmentation(
  options: AugmentationOptions | undefined,
  inputShape: readonly number[],
): Augmentation | null {
  if (options === undefined) return null;
  const checked = checkOptions(options, 'augmentation', OPTIONS);
  if (inputShape.length !== 3) {
    const what = 'the input shape [height, width, channels]';
    throw expected(what, 'a model with augmentation', inputShape, 'Give it as inputShape: [28, 28, 1].', 'ERR_SHAPE');
  }
  const [inputHeight, inputWidth, channels] = inputShape;
  const upTo = (name: 'rotation' | 'scale' | 'aspect' | 'shear') =>
    checkNumber(checked[name] ?? 0, `augmentation.${name}`, 0, AUGMENT_LIMITS[name]);
  const augmentation: Augmentation = {
    inputHeight,
    inputWidth,
    channels,
    shift: checkInteger(checked.shift ?? 0, 'augmentation.shift', 0, AUGMENT_LIMITS.shift),
    rotation: upTo('rotation'),
    scale: upTo('scale'),
    aspect: upTo('aspect'),
    shear: upTo('shear'),
    ...checkElastic(checked.elastic),
    ...checkErase(checked.erase, Math.min(inputHeight, inputWidth)),
  };
  const { shift, rotation, scale, aspect, shear, elasticAlpha, eraseProbability } = augmentation;
  return [shift, rotation, scale, aspect, shear, elasticAlpha, eraseProbability].some((value) => value > 0)
    ? augmentation
    : null;
}

function checkElastic(elastic: AugmentationOptions['elastic']) {
  const { elasticAlpha: most, elasticSpacing: widest, leastSpacing: least } = AUGMENT_LIMITS;
  if (elastic === undefined) return { elasticAlpha: 0, elasticSpacing: least };
  const { alpha, spacing } = checkOptions(elastic, 'augmentation.elastic', { alpha: true, spacing: true });
  return {
    elasticAlpha: checkNumber(alpha, 'augmentation.elastic.alpha', 0, most),
    elasticSpacing: checkInteger(spacing, 'augmentation.elastic.spacing', least, widest),
  };
}

function checkErase(erase: AugmentationOptions['erase'], shorterSide: number) {
  if (erase === undefined) return { eraseProbability: 0, eraseSize: 1 };
  const { probability, size } = checkOptions(erase, 'augmentation.erase', { probability: true, size: true });
  return {
    eraseProbability: checkNumber(probability, 'augmentation.erase.probability', 0, 1),
    eraseSize: checkInteger(size, 'augmentation.erase.size', 1, shorterSide),
  };
}

/** Appends the op behind what gathers `input`, and returns the buffer of augmented images. */
export function lowerAugmentation(
  builder: ProgramBuilder,
  augmentation: Augmentation,
  input: BufferName,
  { seed, epoch }: { seed: number; epoch: ScalarIndex },
): BufferName {
  const { inputHeight, inputWidth, channels } = augmentation;
  const output = builder.batched('inputs.augmented', [inputHeight, inputWidth, channels]);
  const draw = { seedLow: seed % 2 ** 32, seedHigh: Math.floor(seed / 2 ** 32), epoch };
  builder.add({ op: 'augment', input, output, ...augmentation, ...draw });
  return output;
}
