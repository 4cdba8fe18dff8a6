import { Command } from 'commander';
import { DATASET_NAMES } from '../../data/catalogue.js';
import type { Dataset } from '../../data/dataset.js';
import { loadModel, type Sequential } from '../../index.js';
import type { Context, Run } from '../context.js';
import { loadForCommand } from '../dataset.js';
import { chooseBackend, engineText } from '../engine.js';
import {
  addDataOptions,
  addEngineOptions,
  type CommonOptions,
  type DataOptions,
  type EngineOptions,
} from '../options.js';
import { classTable, confusionTable } from '../ui/evaluation.js';
import { loss, percent, plural } from '../ui/format.js';

type EvaluateOptions = CommonOptions & DataOptions & EngineOptions;

export function evaluateCommand(run: Run): Command {
  const command = new Command('evaluate')
    .description('Measure a model on the test set: accuracy, loss, accuracy per class and the confusion matrix.')
    .argument('<model>', 'model file that train wrote');
  addDataOptions(command, 'what the model was trained on');
  addEngineOptions(command);
  return command.action(run.action(evaluate));
}

async function evaluate(context: Context, options: EvaluateOptions, [path]: string[]): Promise<void> {
  const { output, signal } = context;
  const model = await loadModel(path, { backend: await chooseBackend(options, output), threads: options.threads });
  try {
    const trainedOn = DATASET_NAMES.find((name) => name === model.metadata.dataset);
    const dataset = options.dataset ?? trainedOn ?? 'mnist';
    const { test } = await loadForCommand(context, { ...options, dataset });
    model.compile({ optimizer: 'sgd', loss: 'categoricalCrossentropy' });
    const { accuracy = Number.NaN, loss: meanLoss, count } = await model.evaluate(test, { signal });
    const confusion = await confusionOf(model, test, signal);
    const { name: backend, isa, threads } = model.backend;
    const engine = { backend, isa, threads };
    output.event({
      event: 'evaluation',
      model: path,
      dataset,
      accuracy,
      loss: meanLoss,
      count,
      perClass: perClassOf(confusion),
      confusion,
      ...engine,
    });
    output.say(`${path} on the test set of ${dataset}, ${plural(count, 'image')}; ${engineText(engine)}`);
    output.say(`Accuracy ${output.style.strong(percent(accuracy))}, loss ${loss(meanLoss)}`);
    output.say(`\n${classTable(perClassOf(confusion), model.classNames)}`);
    output.say(`\n${confusionTable(confusion, model.classNames)}`);
  } finally {
    model.dispose();
  }
}

/** confusion[label][answer], where the answer is the first of the most probable classes. */
async function confusionOf(model: Sequential, test: Dataset, signal: AbortSignal): Promise<number[][]> {
  const outputs = await model.predict(test, { signal });
  const classes = outputs.length / test.count;
  const confusion = Array.from({ length: classes }, () => new Array<number>(classes).fill(0));
  for (let sample = 0; sample < test.count; sample++) {
    const row = outputs.subarray(sample * classes, (sample + 1) * classes);
    confusion[test.targets[sample]][row.indexOf(Math.max(...row))]++;
  }
  return confusion;
}

function perClassOf(confusion: readonly (readonly number[])[]) {
  return confusion.map((row, label) => {
    const count = row.reduce((sum, value) => sum + value, 0);
    return { label, count, correct: row[label], accuracy: count > 0 ? row[label] / count : null };
  });
}
