import { checkNumber } from '../errors.js';
import { checkBoolean, checkOptions, type OptionNames } from '../options.js';
import type { ProgramBuilder } from '../program/builder.js';
import { type BufferName, partsOf } from '../program/ops.js';
import { sizeOf } from '../program/program.js';
import type { Layer, LowerContext, LoweredLayer, ParameterSpec } from './layer.js';

export interface BatchNormalizationOptions {
  /** Of the moving mean and variance, in [0, 1]: moving = momentum · moving + (1 - momentum) · the batch's. Default 0.99. */
  momentum?: number;
  /** Added to the variance, at least 2⁻¹²⁶, the smallest normal float32; default 0.001. */
  epsilon?: number;
  /** Whether beta is added, which starts at 0; default true. */
  center?: boolean;
  /** Whether gamma multiplies, which starts at 1; default true. */
  scale?: boolean;
}

const OPTIONS: OptionNames<BatchNormalizationOptions> = { momentum: true, epsilon: true, center: true, scale: true };

type Checked = Required<BatchNormalizationOptions>;

/**
 * (input - mean) / sqrt(variance + epsilon) · gamma + beta for each channel, the last dimension of the input.
 * Ioffe and Szegedy, "Batch normalization" (2015).
 *
 * In training, mean and variance are those of the batch (all samples, all positions; the variance is divided by their
 * number, as Keras does), and moving ones follow them. Evaluation and prediction use the moving ones. Parameters: gamma
 * `weight`, beta `bias`, and what no optimizer changes, `running_mean` and `running_var`. Throws ERR_ARGUMENT for an unknown
 * option or a value out of range.
 */
export function batchNormalization(options?: BatchNormalizationOptions): Layer {
  const given = checkOptions(options, 'batchNormalization', OPTIONS);
  const checked: Checked = {
    momentum: checkNumber(given.momentum ?? 0.99, 'momentum', 0, 1),
    epsilon: checkNumber(given.epsilon ?? 0.001, 'epsilon', 2 ** -126),
    center: checkBoolean(given.center ?? true, 'center'),
    scale: checkBoolean(given.scale ?? true, 'scale'),
  };
  return Object.freeze<Layer>({
    type: 'batchNormalization',
    config: Object.freeze({ type: 'batchNormalization', ...checked }),
    outputActivation: 'linear',
    inputRank: null,
    build: (inputShape) => ({ outputShape: inputShape, parameters: parametersOf(inputShape.at(-1)!, checked) }),
    lower: (builder, context) => {
      const learns = context.shared.section === 'train';
      return (learns ? lowerTraining : lowerInference)(builder, context, checked);
    },
  });
}

function parametersOf(channels: number, { center, scale }: Checked): ParameterSpec[] {
  const common = { shape: [channels], fanIn: channels, fanOut: channels, fileAxes: null };
  const gamma: ParameterSpec = { name: 'weight', initializer: 'ones', trainable: true, ...common };
  const beta: ParameterSpec = { name: 'bias', initializer: 'zeros', trainable: true, ...common };
  return [
    ...(scale ? [gamma] : []),
    ...(center ? [beta] : []),
    { name: 'running_mean', initializer: 'zeros', trainable: false, ...common },
    { name: 'running_var', initializer: 'ones', trainable: false, ...common },
  ];
}

interface Named<B> {
  gamma: B | null;
  beta: B | null;
}

/** Those of gamma and beta that there are, from a list in the order of the specs. */
function named<B>(list: readonly B[], { center, scale }: Checked): Named<B> {
  return { gamma: scale ? list[0] : null, beta: center ? list[scale ? 1 : 0] : null };
}

function lowerInference(builder: ProgramBuilder, context: LowerContext, checked: Checked): LoweredLayer {
  const { prefix, input, inputShape, parameters } = context;
  const [mean, variance] = parameters.slice(-2);
  const output = builder.batched(`${prefix}.output`, inputShape);
  const { epsilon } = checked;
  builder.add({ op: 'batchNorm', input, mean, variance, ...named(parameters, checked), output, epsilon });
  return { output, backward: () => null };
}

function lowerTraining(builder: ProgramBuilder, context: LowerContext, checked: Checked): LoweredLayer {
  const { prefix, input, inputShape, parameters } = context;
  const { epsilon, momentum } = checked;
  const channels = inputShape.at(-1)!;
  const { gamma, beta } = named(parameters, checked);
  const [movingMean, movingVariance] = parameters.slice(-2);

  const parts = builder.fixed(`${prefix}.moments`, [partsOf(builder.capacity), 2, channels]);
  const mean = builder.fixed(`${prefix}.mean`, [channels]);
  const variance = builder.fixed(`${prefix}.variance`, [channels]);
  const output = builder.batched(`${prefix}.output`, inputShape);
  const positions = sizeOf(inputShape) / channels;
  const moving = { movingMean, movingVariance, positions, momentum };
  builder.add({ op: 'channelMoments', input, parts, channels });
  builder.add({ op: 'batchNormStatistics', parts, mean, variance, ...moving });
  builder.add({ op: 'batchNorm', input, mean, variance, gamma, beta, output, epsilon });

  const statistics = { input, mean, variance, epsilon };
  return {
    output,
    backward: (dOutput, keep) => {
      if (!gamma && !beta && !context.needsInputGradient) return null;
      const sums = lowerSums(builder, context, checked, statistics, dOutput);
      if (!context.needsInputGradient) return null;
      const dInput = keep ? builder.batched(`${prefix}.dInput`, inputShape) : dOutput;
      builder.add({ op: 'batchNormBackward', ...statistics, gamma, ...sums, dOutput, dInput });
      return dInput;
    },
  };
}

/** The gradients of gamma and beta, which the gradient of the input takes as well: it needs them where nothing learns. */
function lowerSums(
  builder: ProgramBuilder,
  { prefix, inputShape, gradients }: LowerContext,
  checked: Checked,
  statistics: { input: BufferName; mean: BufferName; variance: BufferName; epsilon: number },
  dOutput: BufferName,
): { dGamma: BufferName; dBeta: BufferName } {
  const channels = inputShape.at(-1)!;
  const fixed = (name: string, shape: readonly number[]) => builder.fixed(`${prefix}.${name}`, shape, 'gradient');
  const { gamma, beta } = named(gradients, checked);
  const dGammaParts = fixed('weight.gradientParts', [partsOf(builder.capacity), channels]);
  const dBetaParts = fixed('bias.gradientParts', [partsOf(builder.capacity), channels]);
  const dGamma = gamma ?? fixed('weight.gradient', [channels]);
  const dBeta = beta ?? fixed('bias.gradient', [channels]);
  builder.add({ op: 'batchNormSums', ...statistics, dOutput, dGammaParts, dBetaParts });
  builder.add({ op: 'sumParts', parts: dGammaParts, output: dGamma });
  builder.add({ op: 'sumParts', parts: dBetaParts, output: dBeta });
  return { dGamma, dBeta };
}
