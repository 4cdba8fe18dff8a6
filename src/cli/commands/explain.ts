import { Command } from 'commander';
import { importImages, type NamedImage } from '../../data/image-files.js';
import { expected } from '../../errors.js';
import { writeFileAtomic } from '../../files.js';
import { explain, loadModel, type Sequential } from '../../index.js';
import type { ExplanationSubject } from '../../report/explanation/subject.js';
import { commandToRepeat } from '../command-words.js';
import type { Context, Run } from '../context.js';
import { chooseBackend } from '../engine.js';
import { imageSizeOf } from '../images.js';
import { OPTIMIZERS } from '../model.js';
import { addEngineOptions, type CommonOptions, type EngineOptions } from '../options.js';
import type { Output } from '../output.js';
import { checkReportFile, tryToWrite } from '../report.js';
import { explanationText } from '../ui/explanation.js';
import { count } from '../ui/format.js';
import { networkText } from '../ui/network.js';
import { UsageError } from '../usage.js';
import { choice, integer, number, text } from '../values.js';

interface ExplainOptions extends CommonOptions, EngineOptions {
  index?: number;
  label?: number;
  neurons?: number;
  optimizer?: (typeof OPTIMIZERS)[number];
  learningRate?: number;
  html?: string;
}

const MOST = Number.MAX_SAFE_INTEGER;

export function explainCommand(run: Run): Command {
  const command = new Command('explain')
    .description(
      'Walk an image through a network, layer by layer: what it sees, its strongest neurons, which pixels spoke for and ' +
        'against the answer, and what one step of training on the image would change. The model file stays as it is.',
    )
    .argument('<model>', 'model file that train wrote')
    .argument('<image>', 'PNG or IDX file, read as predict does')
    .option('--index <n>', 'which image of an IDX file, from 0 (default: the first)', integer('--index', 0, MOST))
    .option(
      '--label <n>',
      "the class that the step teaches, from 0 (default: the image's own, where the file of labels lies beside it, " +
        'else the answer)',
      integer('--label', 0, MOST),
    )
    .option('--neurons <n>', 'at most so many neurons of each layer (default: 5)', integer('--neurons', 1, MOST))
    .option(
      '--optimizer <name>',
      `what makes the step: ${OPTIMIZERS.join(', ')} (default: sgd without momentum)`,
      choice('--optimizer', OPTIMIZERS),
    )
    .option(
      '--learning-rate <x>',
      'of the step (default: 0.01 with sgd, else what the optimizer has by itself)',
      number('--learning-rate', 'of at least 0', (value) => value >= 0),
    )
    .option('--html <file>', 'also write it as a page that needs no other file', text('--html', 'the name of a file'));
  addEngineOptions(command);
  return command.action(run.action(explainImage));
}

async function explainImage(context: Context, options: ExplainOptions, [path, file]: string[]): Promise<void> {
  const { output, signal } = context;
  checkReportFile(options.html, { 'the model': path, 'the image': file }, '--html');
  const model = await loadModel(path, { backend: await chooseBackend(options, output), threads: options.threads });
  try {
    const size = imageSizeOf(model, path);
    checkLabel(model, options.label);
    const images = await importImages(file, size);
    signal.throwIfAborted();
    const index = chosenIndex(images, options.index, file, output);
    const { pixels, name, notes, label: own } = images[index];
    const explanation = await explain(model, pixels, {
      label: options.label ?? own,
      neurons: options.neurons,
      optimizer: options.optimizer,
      learningRate: options.learningRate,
      signal,
    });
    const network = networkText(model.inputShape, model.layers);
    const known = { notes, ...(own === undefined ? {} : { expected: own }) };
    const subject = { explanation, layers: model.layers, network, size, image: name, ...known };
    const written = await tryToWrite(options.html, (page) =>
      writePage(page, subject, { model, path, file, options, context }),
    );
    const { name: backend, isa, threads } = model.backend;
    const engine = { backend, isa, threads };
    const page = written.report === undefined ? {} : { html: written.report };
    output.event({ event: 'explanation', image: file, index, ...known, ...explanation, ...engine, ...page });
    output.say(explanationText(subject, output));
    if (written.report !== undefined) output.say(`\nThe page is in ${written.report}.`);
    written.throwFailure();
  } finally {
    model.dispose();
  }
}

interface PageParts {
  model: Sequential;
  path: string;
  file: string;
  options: ExplainOptions;
  context: Context;
}

/** Writes the page, whole or not at all. Throws ERR_FILE. */
async function writePage(page: string, subject: ExplanationSubject, parts: PageParts): Promise<void> {
  const { model, path, file, options, context } = parts;
  const { explanationPage } = await import('../../report/explanation-page.js');
  const origin = {
    model: path,
    weightsSha256: model.weightsSha256(),
    command: commandToRepeat(['explain', path, file], options, context.given),
    version: context.version,
  };
  await writeFileAtomic(page, Buffer.from(explanationPage({ ...subject, origin })));
}

function checkLabel({ outputShape }: Sequential, label: number | undefined): void {
  const classes = outputShape.reduce((product, side) => product * side, 1);
  if (label === undefined || label < classes) return;
  throw new UsageError(expected(`a class from 0 to ${classes - 1}`, '--label', label).message);
}

function chosenIndex(images: readonly NamedImage[], index: number | undefined, file: string, output: Output): number {
  if (index !== undefined && index >= images.length) {
    const range = images.length === 1 ? '0' : `a number from 0 to ${images.length - 1}`;
    throw new UsageError(expected(range, '--index', index, `${file} has ${count(images.length)} image(s).`).message);
  }
  if (index === undefined && images.length > 1) {
    output.note(`${file} has ${count(images.length)} images: this is the first. --index chooses another.`);
  }
  return index ?? 0;
}
