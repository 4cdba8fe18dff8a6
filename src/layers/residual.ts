import { expected } from '../errors.js';
import { checkOptions } from '../options.js';
import type { ProgramBuilder } from '../program/builder.js';
import type { BufferName } from '../program/ops.js';
import { buildChain, checkLayers, type Link, lowerChain } from './chain.js';
import type {
  BuiltShape,
  Layer,
  LayerConfig,
  LowerContext,
  LoweredLayer,
  NestedLayer,
  ParameterSpec,
} from './layer.js';

export interface ResidualOptions {
  /** At least one. */
  layers: readonly Layer[];
  /** What the input goes through on the short way, such as a convolution of 1 x 1; default nothing. */
  shortcut?: readonly Layer[];
}

/**
 * layers(input) + shortcut(input), of one shape. He et al., "Deep residual learning for image recognition" (2015).
 *
 * Parameters of layer 3 of a model: `3.0.weight`, ... of `layers`, `3.shortcut.0.weight`, ... of `shortcut`. Throws
 * ERR_ARGUMENT for what are no layers and for more than 64 residuals within each other; a model of it throws ERR_SHAPE where the two ways end in different shapes.
 */
export function residual(options: ResidualOptions): Layer {
  const checked = checkOptions(options, 'residual', { layers: true, shortcut: true });
  const layers = [...checkLayers(checked.layers, 'layers of residual')];
  const hasShortcut = checked.shortcut !== undefined;
  const shortcut = hasShortcut ? [...checkLayers(checked.shortcut!, 'shortcut of residual')] : [];
  checkDepth([...layers, ...shortcut]);
  const configs = (list: readonly Layer[]) => Object.freeze(list.map(({ config }) => config));
  return Object.freeze<Layer>({
    type: 'residual',
    config: Object.freeze({
      type: 'residual',
      layers: configs(layers),
      ...(hasShortcut ? { shortcut: configs(shortcut) } : {}),
    }),
    outputActivation: 'linear',
    inputRank: null,
    build: (inputShape) => buildResidual(buildChain(layers, inputShape), buildChain(shortcut, inputShape), inputShape),
    lower: (builder, context) => {
      const { inputShape } = context;
      return lowerResidual(builder, context, buildChain(layers, inputShape), buildChain(shortcut, inputShape));
    },
  });
}

/** Far more than networks have, and few enough to go through them by recursion. */
const MOST_LEVELS = 64;

function checkDepth(layers: readonly Layer[]): void {
  const levels = 1 + levelsOf(layers.map(({ config }) => config));
  if (levels <= MOST_LEVELS) return;
  throw expected(`at most ${MOST_LEVELS} residuals within each other`, 'layers of residual', levels);
}

function levelsOf(configs: readonly LayerConfig[]): number {
  const levels = configs.map(({ type, layers, shortcut = [] }) =>
    type === 'residual' ? 1 + levelsOf([...(layers as LayerConfig[]), ...(shortcut as LayerConfig[])]) : 0,
  );
  return levels.reduce((most, each) => Math.max(most, each), 0);
}

const SHORTCUT = 'shortcut.';

function buildResidual(main: readonly Link[], shortcut: readonly Link[], inputShape: readonly number[]): BuiltShape {
  const outputShape = main.at(-1)!.built.outputShape;
  const other = shortcut.at(-1)?.built.outputShape ?? inputShape;
  if (outputShape.join() !== other.join()) {
    const what = `[${other.join(', ')}], as its shortcut gives,`;
    const hint = 'Put a layer into the shortcut that changes the shape alike, such as conv2d of kernelSize 1.';
    throw expected(what, 'the output of the layers of residual', outputShape, hint, 'ERR_SHAPE');
  }
  const nested = [...nestedOf(main, ''), ...nestedOf(shortcut, SHORTCUT)];
  const parameters = nested.flatMap(({ name, built }) =>
    built.parameters.map((spec): ParameterSpec => ({ ...spec, name: `${name}.${spec.name}` })),
  );
  return {
    outputShape,
    parameters: parameters.map((spec, place) => ({ ...spec, stream: place + 1 })),
    multiplyAdds: nested.reduce((sum, { built }) => sum + (built.multiplyAdds ?? 0), 0),
    nested,
  };
}

/** The layers by their names inside; a flatten that was put in has neither name nor work. */
function nestedOf(links: readonly Link[], prefix: string): NestedLayer[] {
  return links.flatMap(({ layer, index, built }) =>
    index === null ? [] : [{ name: `${prefix}${index}`, layer, built }],
  );
}

/** Both ways read the input, and both gradients of the output: neither may be overwritten before the other has read it. */
function lowerResidual(
  builder: ProgramBuilder,
  context: LowerContext,
  main: readonly Link[],
  shortcut: readonly Link[],
): LoweredLayer {
  const { prefix, inputShape, needsInputGradient } = context;
  const ofMain = main.reduce((sum, { built }) => sum + built.parameters.length, 0);
  const lower = (links: readonly Link[], inner: string, first: number, end?: number) =>
    lowerChain(builder, links, {
      ...context,
      prefix: `${prefix}.${inner}`,
      parameters: context.parameters.slice(first, end),
      gradients: context.gradients.slice(first, end),
      leftToLoss: null,
    });
  const a = lower(main, '', 0, ofMain);
  const b = lower(shortcut, SHORTCUT, ofMain);
  const output = builder.batched(`${prefix}.output`, main.at(-1)!.built.outputShape);
  builder.add({ op: 'add', a: a.output, b: b.output, output });

  const backward = (dOutput: BufferName, keep: boolean): BufferName | null => {
    const dMain = a.backward(dOutput, true);
    const dShortcut = b.backward(dOutput, keep || dMain === dOutput);
    if (!needsInputGradient || dMain === null || dShortcut === null) return null;
    const dInput = dMain !== dOutput ? dMain : keep ? builder.batched(`${prefix}.dInput`, inputShape) : dOutput;
    builder.add({ op: 'add', a: dMain, b: dShortcut, output: dInput });
    return dInput;
  };
  return { output, backward };
}
