import { Command } from 'commander';
import { importImages, type NamedImage } from '../../data/image-files.js';
import { loadModel, type Sequential } from '../../index.js';
import type { Context, Run } from '../context.js';
import { chooseBackend } from '../engine.js';
import { imageSizeOf } from '../images.js';
import { addEngineOptions, type CommonOptions, type EngineOptions } from '../options.js';
import type { Output } from '../output.js';
import { count, percent } from '../ui/format.js';
import { renderImage } from '../ui/image.js';
import { bar } from '../ui/tables.js';
import { integer } from '../values.js';

interface PredictOptions extends CommonOptions, EngineOptions {
  limit?: number;
}

export function predictCommand(run: Run): Command {
  const command = new Command('predict')
    .description(
      'Say which class images belong to. A PNG of any size and colours is converted as MNIST was made: the digit ' +
        'scaled into 20x20, centred by mass, light on dark. Images of an IDX file are taken as they are.',
    )
    .argument('<model>', 'model file that train wrote')
    .argument('<image...>', 'PNG or IDX files')
    .option(
      '--limit <n>',
      'at most so many images of each file (default: all)',
      integer('--limit', 1, Number.MAX_SAFE_INTEGER),
    );
  addEngineOptions(command);
  return command.action(run.action(predict));
}

/** An image and what the model makes of it. */
interface Answer {
  image: NamedImage;
  label: number;
  probabilities: Float32Array;
}

async function predict(context: Context, options: PredictOptions, [path, ...files]: string[]): Promise<void> {
  const { output, signal } = context;
  const model = await loadModel(path, { backend: await chooseBackend(options, output), threads: options.threads });
  try {
    const size = imageSizeOf(model, path);
    const labelled: Answer[] = [];
    for (const file of files) {
      signal.throwIfAborted();
      const images = (await importImages(file, size)).slice(0, options.limit);
      const answers = await answersOf(model, images, signal);
      answers.forEach((answer, index) => {
        tell(output, file, index, answer);
        output.say(images.length === 1 ? `${picture(output, answer, size, model)}\n` : line(answer, model));
        if (answer.image.label !== undefined) labelled.push(answer);
      });
    }
    if (labelled.length > 1) {
      const right = labelled.filter(({ image, label }) => image.label === label).length;
      output.say(`${count(right)} of ${count(labelled.length)} right, ${percent(right / labelled.length)}`);
    }
  } finally {
    model.dispose();
  }
}

async function answersOf(model: Sequential, images: readonly NamedImage[], signal: AbortSignal): Promise<Answer[]> {
  const pixels = new Uint8Array(images.reduce((sum, image) => sum + image.pixels.length, 0));
  let offset = 0;
  for (const image of images) {
    pixels.set(image.pixels, offset);
    offset += image.pixels.length;
  }
  const outputs = await model.predict(pixels, { signal });
  const classes = outputs.length / images.length;
  return images.map((image, index) => {
    const probabilities = outputs.subarray(index * classes, (index + 1) * classes);
    return { image, label: probabilities.indexOf(Math.max(...probabilities)), probabilities };
  });
}

function tell(output: Output, file: string, index: number, { image, label, probabilities }: Answer): void {
  output.event({
    event: 'prediction',
    image: file,
    index,
    label,
    ...(image.label === undefined ? {} : { expected: image.label }),
    probabilities: Array.from(probabilities),
    notes: image.notes,
  });
}

/** What the net saw and how sure it is of each class, side by side where one answer is all there is. */
function picture(
  { style, colors }: Output,
  { image, label, probabilities }: Answer,
  { width, height }: { width: number; height: number },
  model: Sequential,
): string {
  const names = Array.from(probabilities, (_, index) => nameOf(index, model));
  const nameWidth = Math.max(...names.map((name) => name.length));
  const bars = names.map((name, index) => {
    const text = `${name.padEnd(nameWidth)}  ${bar(probabilities[index], 30)}  ${percent(probabilities[index]).padStart(8)}`;
    return index === label ? style.strong(text) : text;
  });
  const verdict = `${image.name} is ${style.strong(nameOf(label, model))}, ${percent(probabilities[label])} sure${truth({ image, label }, model)}`;
  return [
    ...renderImage(image.pixels, width, height, colors),
    style.faint(`This is what the network saw: ${image.notes.join(', ')}.`),
    '',
    ...bars,
    '',
    verdict,
  ].join('\n');
}

function line({ image, label, probabilities }: Answer, model: Sequential): string {
  return `${image.name}  ${nameOf(label, model)}  ${percent(probabilities[label])}${truth({ image, label }, model)}`;
}

/** Where the file's own label is known and says something else. */
function truth({ image, label }: Pick<Answer, 'image' | 'label'>, model: Sequential): string {
  return image.label === undefined || image.label === label ? '' : `  (labelled ${nameOf(image.label, model)})`;
}

const nameOf = (label: number, { classNames }: Sequential) => classNames?.[label] ?? String(label);
