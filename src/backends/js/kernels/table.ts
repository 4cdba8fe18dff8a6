import type { Op, OpName } from '../../../program/ops.js';
import { prepareActivation, prepareActivationBackward } from './activation.js';
import { prepareAdd } from './add.js';
import { prepareAugment } from './augment.js';
import {
  prepareBatchNorm,
  prepareBatchNormBackward,
  prepareBatchNormStatistics,
  prepareBatchNormSums,
  prepareChannelMoments,
  prepareFoldBatchNorm,
} from './batch-norm.js';
import { prepareBinaryCrossEntropy } from './binary-cross-entropy.js';
import { prepareAddSquares, prepareClipByGlobalNorm, prepareClipByValue, prepareColumnSquares } from './clipping.js';
import { prepareConv2d } from './conv2d.js';
import { prepareConv2dBackward } from './conv2d-backward.js';
import { prepareCrossEntropy, prepareSoftmaxCrossEntropy } from './cross-entropy.js';
import { prepareDense, prepareDenseBackward } from './dense.js';
import { prepareDropout } from './dropout.js';
import { prepareGather } from './gather.js';
import type { Kernel, KernelContext, PrepareKernel } from './kernel.js';
import { prepareMatmul } from './matmul.js';
import { prepareAdagrad, prepareAdam, prepareLion, prepareRmsprop, prepareSgd } from './optimizers.js';
import { prepareSumParts } from './parts.js';
import {
  prepareAveragePool2d,
  prepareAveragePool2dBackward,
  prepareMaxPool2d,
  prepareMaxPool2dBackward,
} from './pooling.js';
import { prepareHuber, prepareMeanAbsoluteError, prepareMeanSquaredError } from './regression-losses.js';
import { prepareSoftmax, prepareSoftmaxBackward } from './softmax.js';
import { prepareAverage, prepareMaxNorm, prepareRegularize } from './weights.js';

/** A kernel for every op: an op without one does not compile. */
export const KERNELS: { readonly [K in OpName]: PrepareKernel<K> } = {
  gather: prepareGather,
  augment: prepareAugment,
  matmul: prepareMatmul,
  dense: prepareDense,
  denseBackward: prepareDenseBackward,
  activation: prepareActivation,
  activationBackward: prepareActivationBackward,
  softmax: prepareSoftmax,
  softmaxBackward: prepareSoftmaxBackward,
  softmaxCrossEntropy: prepareSoftmaxCrossEntropy,
  crossEntropy: prepareCrossEntropy,
  binaryCrossEntropy: prepareBinaryCrossEntropy,
  meanSquaredError: prepareMeanSquaredError,
  meanAbsoluteError: prepareMeanAbsoluteError,
  huber: prepareHuber,
  conv2d: prepareConv2d,
  conv2dBackward: prepareConv2dBackward,
  sumParts: prepareSumParts,
  maxPool2d: prepareMaxPool2d,
  maxPool2dBackward: prepareMaxPool2dBackward,
  averagePool2d: prepareAveragePool2d,
  averagePool2dBackward: prepareAveragePool2dBackward,
  dropout: prepareDropout,
  add: prepareAdd,
  channelMoments: prepareChannelMoments,
  batchNormStatistics: prepareBatchNormStatistics,
  batchNorm: prepareBatchNorm,
  batchNormSums: prepareBatchNormSums,
  batchNormBackward: prepareBatchNormBackward,
  foldBatchNorm: prepareFoldBatchNorm,
  regularize: prepareRegularize,
  maxNorm: prepareMaxNorm,
  sgd: prepareSgd,
  adam: prepareAdam,
  rmsprop: prepareRmsprop,
  adagrad: prepareAdagrad,
  lion: prepareLion,
  clipByValue: prepareClipByValue,
  columnSquares: prepareColumnSquares,
  addSquares: prepareAddSquares,
  clipByGlobalNorm: prepareClipByGlobalNorm,
  average: prepareAverage,
};

/** Makes the closure that runs one op. */
export function prepareKernel(op: Op, context: KernelContext): Kernel {
  const prepare = KERNELS[op.op] as (op: Op, context: KernelContext) => Kernel;
  return prepare(op, context);
}
