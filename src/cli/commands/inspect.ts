import { Command } from 'commander';
import { expected, MnistTrainError } from '../../errors.js';
import { writeFileAtomic } from '../../files.js';
import {
  type GradientCheck,
  gradientCheck,
  loadModel,
  type NeuronActivity,
  neuronActivity,
  parameterStatistics,
  type Sequential,
} from '../../index.js';
import { namedWeights } from '../../model/activations.js';
import { type WeightPictures, weightPictures } from '../../model/inspect/weight-pictures.js';
import { stackOf } from '../../model/stack-of.js';
import { encodePng } from '../../pictures/encode-png.js';
import { greatest } from '../../pictures/picture.js';
import { sizeOf } from '../../program/program.js';
import type { Context, Run } from '../context.js';
import { datasetOf, loadForCommand } from '../dataset.js';
import { chooseBackend } from '../engine.js';
import type { InspectionEvent } from '../events.js';
import { checkOutputFile } from '../files.js';
import {
  addDataOptions,
  addEngineOptions,
  type CommonOptions,
  type DataOptions,
  type EngineOptions,
} from '../options.js';
import type { Output } from '../output.js';
import { count, plural } from '../ui/format.js';
import { activityTable, gradientTable, statisticsTable, weightPreview, wrongGradients } from '../ui/inspection.js';
import { networkText } from '../ui/network.js';
import { UsageError } from '../usage.js';
import { integer, text } from '../values.js';
import { weightSheet } from '../weight-sheet.js';

interface InspectOptions extends CommonOptions, DataOptions, EngineOptions {
  layer?: number;
  png?: string;
  deadNeurons?: true;
  gradientCheck?: true;
  weights: number;
  seed: number;
}

/** Images that gradients are checked on: enough for the statistics of a batch, and few enough for a difference a weight. */
const CHECKED_IMAGES = 8;

/** More wrong gradients than these say nothing new. */
const MOST_WRONG = 10;

export function inspectCommand(run: Run): Command {
  const command = new Command('inspect')
    .description(
      "Show what is in a model: layers, statistics of its weights, and the first layer's weights as pictures. On demand " +
        'also which neurons are never on, and whether the gradients that training computes are right.',
    )
    .argument('<model>', 'model file that train wrote')
    .option(
      '--layer <n>',
      'the layer whose weights are shown, counted from 0 (default: the first one whose weights are pictures)',
      integer('--layer', 0, Number.MAX_SAFE_INTEGER),
    )
    .option('--png <file>', 'also draw all pictures of that layer into a PNG file', text('--png', 'the name of a file'))
    .option('--dead-neurons', 'how often the neurons behind rectifiers are on for the test set, and which never are')
    .option(
      '--gradient-check',
      `compare gradients with difference quotients in double precision, on ${CHECKED_IMAGES} test images with wrong labels`,
    )
    .option('--weights <n>', 'weights that it checks of each parameter', integer('--weights', 1, 1_000_000), 10)
    .option('--seed <n>', 'which weights and images those are', integer('--seed', 0, Number.MAX_SAFE_INTEGER), 0);
  addDataOptions(command, 'what the model was trained on');
  addEngineOptions(command);
  return command.action(run.action(inspect));
}

async function inspect(context: Context, options: InspectOptions, [path]: string[]): Promise<void> {
  const { output, signal } = context;
  if (options.png !== undefined) checkOutputFile('--png', options.png);
  const backend = await chooseBackend(options, output);
  const model = await loadModel(path, { backend, threads: options.threads, signal });
  try {
    const pictures = picturesOf(model, options.layer);
    if (options.png !== undefined && !pictures) throw withoutPictures(path);
    const parameters = parameterStatistics(model);
    output.say(`${path}\n${model.summary()}\n`);
    output.say(statisticsTable(parameters));
    const shown = pictures && showPictures(output, pictures);
    if (!pictures)
      output.say('\nNo layer has weights that are pictures: none is a convolution or dense behind images.');
    const png = pictures && options.png !== undefined ? await writeSheet(output, pictures, options.png) : {};
    const { name, isa, threads } = model.backend;
    const found = await measure(context, options, model);
    output.event({
      event: 'inspection',
      model: path,
      network: networkText(model.inputShape, model.layers),
      inputShape: model.inputShape,
      layers: layersOf(model),
      parameters,
      pictures: shown && { ...shown, ...png },
      ...found,
      backend: name,
      isa,
      threads,
    });
    if (found.gradientCheck?.ok === false) throw wrongGradientsError(found.gradientCheck);
  } finally {
    model.dispose();
  }
}

function layersOf(model: Sequential): InspectionEvent['layers'] {
  return stackOf(model).layers.flatMap(({ index, layer, built }) => {
    if (index === null) return [];
    const parameters = built.parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
    const { outputShape, multiplyAdds = 0 } = built;
    return [{ layer: index, type: layer.type, outputShape, parameters, multiplyAdds }];
  });
}

/** Throws UsageError for a layer that the model does not have, and for one whose weights are no pictures. */
function picturesOf(model: Sequential, layer: number | undefined): WeightPictures | null {
  const stack = stackOf(model);
  const last = model.layers.length - 1;
  if (layer !== undefined && layer > last) {
    throw new UsageError(expected(`a layer from 0 to ${last}`, '--layer', layer).message);
  }
  const pictures = weightPictures(stack, namedWeights(stack, model.getWeights()), layer);
  if (layer === undefined || pictures) return pictures;
  const what = 'a convolution, or a dense layer behind images';
  throw new UsageError(expected(what, '--layer', `${layer} ${model.layers[layer].type}`).message);
}

const withoutPictures = (path: string) =>
  new MnistTrainError(
    'ERR_SHAPE',
    `Expected a model with a convolution, or a dense layer behind images, for --png, received ${path} with neither.`,
  );

/** Draws the first pictures and says how to read them. */
function showPictures(output: Output, pictures: WeightPictures): InspectionEvent['pictures'] {
  const { layer, type, images, height, width, channels } = pictures;
  const most = greatest(images.map(greatest));
  const { style, colors, columns } = output;
  const preview = weightPreview(pictures, { most, columns, colors });
  const what = type === 'dense' ? 'neuron' : 'filter';
  const each = `${height}x${width}${channels > 1 ? `, ${channels} channels side by side` : ''}`;
  output.say(`\nWeights of layer ${layer} ${type} as pictures: ${plural(images.length, what)}, each ${each}`);
  for (const line of preview.lines) output.say(line);
  const signs = colors === 'none' ? '+ above zero, - below' : 'orange above zero, blue below';
  const scale = `${signs}; the fullest is ±${most.toPrecision(3)} in all of them`;
  const parts = preview.channels < channels ? `, ${preview.channels} of ${channels} channels` : '';
  if (preview.shown === 0) output.say('They are wider than this terminal.');
  else output.say(style.faint(`${firstOf(preview.shown, what)} of ${count(images.length)}${parts}: ${scale}.`));
  if (preview.shown < images.length || parts !== '') output.say(style.faint('All of them: --png FILE'));
  return { layer, count: images.length, shape: [height, width, channels], greatest: most };
}

/** "neuron 0", "neurons 0 to 5". */
const firstOf = (shown: number, what: string) => (shown === 1 ? `${what} 0` : `${what}s 0 to ${shown - 1}`);

async function writeSheet(output: Output, pictures: WeightPictures, png: string): Promise<{ png: string }> {
  const { picture, shown, across } = weightSheet(pictures, greatest(pictures.images.map(greatest)));
  await writeFileAtomic(png, encodePng(picture));
  const most = shown < pictures.images.length ? `the first ${count(shown)}` : `all ${count(shown)}`;
  output.say(`${png}: ${most}, from number 0 at the top left, ${across} in a row`);
  return { png };
}

type Found = Pick<InspectionEvent, 'dataset' | 'activity' | 'gradientCheck'>;

/** What needs data. */
async function measure(context: Context, options: InspectOptions, model: Sequential): Promise<Found> {
  if (!options.deadNeurons && !options.gradientCheck) return {};
  const { output } = context;
  const dataset = datasetOf(model, options);
  const { test } = await loadForCommand(context, { ...options, dataset });
  const found: Found = { dataset };
  if (options.deadNeurons) {
    const activity = await activityShown(context, model, test);
    output.say(`\nNeurons behind rectifiers on the ${plural(activity.samples, 'image')} of ${dataset}'s test set`);
    output.say(activityTable(activity.layers));
    const layers = activity.layers.map(({ layer, unit, medianShare, shares, dead }) => {
      return { layer, unit, medianShare, shares: Array.from(shares), dead };
    });
    found.activity = { samples: activity.samples, layers };
  }
  if (options.gradientCheck) {
    const check = await checkShown(context, options, model, test);
    const head = `Gradients of a training step on ${plural(check.samples, 'image')} with wrong labels, seed ${options.seed}`;
    output.say(`\n${head}; error and bound relative to the greatest`);
    output.say(gradientTable(check));
    if (check.ok) output.say('Every gradient that was checked is within its bound.');
    for (const line of wrongGradients(check).slice(0, MOST_WRONG)) output.say(line);
    found.gradientCheck = { seed: options.seed, ...check };
  }
  return found;
}

type Test = Awaited<ReturnType<typeof loadForCommand>>['test'];

async function activityShown({ output, signal }: Context, model: Sequential, test: Test): Promise<NeuronActivity> {
  const bar = output.progress({ text: '{done} of {of} images', textWidth: 26, total: test.targets.length });
  try {
    return await neuronActivity(model, test, {
      signal,
      onProgress: ({ done, of }) => bar.update(done, { done: count(done), of: count(of) }),
    });
  } finally {
    bar.stop();
  }
}

async function checkShown(
  { output, signal }: Context,
  { weights, seed }: InspectOptions,
  model: Sequential,
  test: Test,
): Promise<GradientCheck> {
  const bar = output.progress({ text: '{done} of {of} weights', textWidth: 26, total: weights });
  try {
    return await gradientCheck(model, someOf(test, seed, sizeOf(model.outputShape)), {
      weights,
      seed,
      signal,
      onProgress: ({ done, of }) => bar.update(done, { done: count(done), of: count(of) }, of),
    });
  } finally {
    bar.stop();
  }
}

/**
 * Images one after the other, from a place that the seed decides, each labelled as the next class: where a model is right
 * and sure, the true labels would leave gradients that are hardly more than rounding.
 */
function someOf({ inputs, targets, shape, count: all }: Test, seed: number, classes: number) {
  const images = Math.min(CHECKED_IMAGES, all);
  const size = inputs.length / all;
  const first = (seed * images) % (all - images + 1);
  return {
    inputs: inputs.subarray(first * size, (first + images) * size),
    targets: targets.subarray(first, first + images).map((label) => (label + 1) % classes),
    shape,
  };
}

function wrongGradientsError(check: GradientCheck): MnistTrainError {
  const [first, ...others] = wrongGradients(check);
  const more = others.length > 0 ? `, and ${count(others.length)} more` : '';
  return new MnistTrainError('ERR_STATE', `Expected gradients within their bounds, received ${first}${more}.`);
}
