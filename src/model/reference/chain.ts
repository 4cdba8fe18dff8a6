import { expected } from '../../errors.js';
import { buildChain, type Link } from '../../layers/chain.js';
import { layerFromConfig } from '../../layers/from-config.js';
import type { LayerConfig } from '../../layers/layer.js';
import { type WindowOptions, windowsOf } from '../../layers/windows.js';
import type { LossActivation } from '../../losses/loss.js';
import type { BufferName } from '../../program/ops.js';
import { activationOf } from './activations.js';
import { batchNormalization } from './batch-normalization.js';
import { type LayerGradients, type LayerResult, passOn, type ReferenceLayer, type ReferenceWeights } from './layer.js';
import { averagePooling, maxPooling } from './pooling.js';
import { type Taps, tapsOf } from './taps.js';
import { convolutionSums, denseSums, withActivation } from './weighted-sums.js';

/** `training` uses the batch's statistics in batch normalization, `inference` the moving ones. */
export type ReferenceMode = 'inference' | 'training';

/** What becomes of each gradient before a layer takes it: changed a little, to see what inexact ones do. */
export type GradientChange = (dOutput: Float64Array) => Float64Array;

interface Setting {
  weights: ReferenceWeights;
  mode: ReferenceMode;
  changeGradient?: GradientChange;
}

/** The layers of a chain as functions. `leftOut` is left out at its end, as `lowerChain` does for the loss. */
export function referenceLayers(
  links: readonly Link[],
  prefix: string,
  setting: Setting,
  leftOut: LossActivation | null,
): ReferenceLayer[] {
  const last = links.findLastIndex(({ layer }) => layer.outputActivation !== null);
  return links.map((link, place) => {
    const { config, outputActivation } = link.layer;
    const drop = place === last && leftOut !== null && outputActivation === leftOut;
    const own = drop ? { ...config, type: config.type === 'softmax' ? 'activation' : config.type } : config;
    const layer = layerOf(drop ? { ...own, activation: 'linear' } : own, link, `${prefix}${link.index}`, setting);
    return setting.changeGradient ? withChange(layer, setting.changeGradient) : layer;
  });
}

function withChange(layer: ReferenceLayer, change: GradientChange): ReferenceLayer {
  return (input, rows) => {
    const result = layer(input, rows);
    return { ...result, pullback: (dOutput) => result.pullback(change(dOutput)) };
  };
}

function layerOf(config: LayerConfig, link: Link, name: string, setting: Setting): ReferenceLayer {
  const { weights, mode } = setting;
  const { inputShape } = link;
  switch (config.type) {
    case 'dense':
      return withActivation(denseSums(weights, name, config.units as number), activationOf(config));
    case 'conv2d': {
      const taps = taken(config, 'kernelSize', inputShape);
      return withActivation(convolutionSums(weights, name, config.filters as number, taps), activationOf(config));
    }
    case 'maxPooling2d':
      return maxPooling(taken(config, 'poolSize', inputShape));
    case 'averagePooling2d':
      return averagePooling(taken(config, 'poolSize', inputShape));
    case 'globalAveragePooling2d': {
      const kernel = [inputShape[0], inputShape[1]] as const;
      return averagePooling(tapsOf(windowsOf(config.type, inputShape, { kernel, strides: [1, 1], padding: 'valid' })));
    }
    case 'activation':
    case 'softmax':
      return activationOf(config);
    case 'flatten':
    case 'dropout':
      return passOn;
    case 'batchNormalization': {
      const epsilon = Math.fround(config.epsilon as number);
      return batchNormalization(weights, name, inputShape.at(-1)!, epsilon, mode === 'training');
    }
    case 'residual':
      return residual(config, inputShape, name, setting);
    default:
      throw expected('a layer of this package', 'the type of a layer', config.type);
  }
}

/** The windows of a convolution or a pool. */
function taken(config: LayerConfig, kernel: 'kernelSize' | 'poolSize', inputShape: readonly number[]): Taps {
  const options = { ...config, kernel: config[kernel] } as unknown as WindowOptions;
  return tapsOf(windowsOf(config.type, inputShape, options));
}

/** layers(input) + shortcut(input). */
function residual(config: LayerConfig, inputShape: readonly number[], name: string, setting: Setting): ReferenceLayer {
  const way = (list: LayerConfig[string] | undefined, prefix: string) => {
    const links = buildChain(((list ?? []) as readonly LayerConfig[]).map(layerFromConfig), inputShape);
    return referenceLayers(links, prefix, setting, null);
  };
  const main = way(config.layers, `${name}.`);
  const shortcut = way(config.shortcut, `${name}.shortcut.`);
  return (input, rows) => {
    const [a, b] = [forwardThrough(main, input, rows), forwardThrough(shortcut, input, rows)];
    const [left, right] = [a.at(-1)!.output, b.at(-1)?.output ?? input];
    return {
      output: left.map((value, i) => value + right[i]),
      sums: null,
      switches: () => [...a, ...b].flatMap((result) => result.switches()),
      pullback: (dOutput) => {
        const [ofMain, ofShortcut] = [backwardThrough(a, dOutput), backwardThrough(b, dOutput)];
        const other = ofShortcut[0]?.dInput ?? dOutput;
        return {
          dInput: ofMain[0].dInput.map((value, i) => value + other[i]),
          dSums: null,
          parameters: parametersOf([...ofMain, ...ofShortcut]),
        };
      },
    };
  };
}

/** What every layer made of the input. */
export function forwardThrough(layers: readonly ReferenceLayer[], input: Float64Array, rows: number): LayerResult[] {
  let value = input;
  return layers.map((layer) => {
    const result = layer(value, rows);
    value = result.output;
    return result;
  });
}

/** The gradients of every layer, in the order of the layers. */
export function backwardThrough(results: readonly LayerResult[], dOutput: Float64Array): LayerGradients[] {
  let gradient = dOutput;
  const backwards = results.toReversed().map((result) => {
    const gradients = result.pullback(gradient);
    gradient = gradients.dInput;
    return gradients;
  });
  return backwards.reverse();
}

/** The gradients of all parameters, in the order of the layers. */
export function parametersOf(layers: readonly LayerGradients[]): Map<BufferName, Float64Array> {
  return new Map(layers.flatMap(({ parameters }) => [...parameters]));
}
