import type { Op, OpName } from '../../../program/ops.js';
import { prepareActivation, prepareActivationBackward } from './activation.js';
import { prepareDense, prepareDenseBackward } from './dense.js';
import { prepareGather } from './gather.js';
import type { Kernel, KernelContext, PrepareKernel } from './kernel.js';
import { prepareMeanSquaredError, prepareSoftmaxCrossEntropy } from './losses.js';
import { prepareMatmul } from './matmul.js';
import { prepareAdam, prepareSgd } from './optimizers.js';
import { prepareSoftmax, prepareSoftmaxBackward } from './softmax.js';

/** A kernel for every op: an op without one does not compile. */
export const KERNELS: { readonly [K in OpName]: PrepareKernel<K> } = {
  gather: prepareGather,
  matmul: prepareMatmul,
  dense: prepareDense,
  denseBackward: prepareDenseBackward,
  activation: prepareActivation,
  activationBackward: prepareActivationBackward,
  softmax: prepareSoftmax,
  softmaxBackward: prepareSoftmaxBackward,
  softmaxCrossEntropy: prepareSoftmaxCrossEntropy,
  meanSquaredError: prepareMeanSquaredError,
  sgd: prepareSgd,
  adam: prepareAdam,
};

/** Makes the closure that runs one op. */
export function prepareKernel(op: Op, context: KernelContext): Kernel {
  const prepare = KERNELS[op.op] as (op: Op, context: KernelContext) => Kernel;
  return prepare(op, context);
}
