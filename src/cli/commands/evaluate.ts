import { Command } from 'commander';
import type { LoadedDataset } from '../../data/load.js';
import {
  classificationReport,
  confusionMatrix,
  expectedCalibrationError,
  loadModel,
  type Sequential,
  topKAccuracy,
} from '../../index.js';
import type { Context, Run } from '../context.js';
import { datasetOf, loadForCommand } from '../dataset.js';
import { chooseBackend, engineText } from '../engine.js';
import type { EvaluationEvent } from '../events.js';
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
    .description('Measure a model on the test set: accuracy, loss, calibration, each class and the confusion matrix.')
    .argument('<model>', 'model file that train wrote');
  addDataOptions(command, 'what the model was trained on');
  addEngineOptions(command);
  return command.action(run.action(evaluate));
}

async function evaluate(context: Context, options: EvaluateOptions, [path]: string[]): Promise<void> {
  const { output, signal } = context;
  const model = await loadModel(path, { backend: await chooseBackend(options, output), threads: options.threads });
  try {
    const dataset = datasetOf(model, options);
    const { test } = await loadForCommand(context, { ...options, dataset });
    model.compile({ optimizer: 'sgd', loss: 'categoricalCrossentropy' });
    const { accuracy = Number.NaN, loss: meanLoss, count } = await model.evaluate(test, { signal });
    const measures = await measure(model, test, signal);
    const { name: backend, isa, threads } = model.backend;
    const engine = { backend, isa, threads };
    output.event({
      event: 'evaluation',
      model: path,
      dataset,
      accuracy,
      loss: meanLoss,
      count,
      ...measures,
      ...engine,
    });
    const { top3Accuracy, expectedCalibrationError: error } = measures;
    output.say(`${path} on the test set of ${dataset}, ${plural(count, 'image')}; ${engineText(engine)}`);
    output.say(`Accuracy ${output.style.strong(percent(accuracy))}, loss ${loss(meanLoss)}`);
    output.say(`Among the first three ${percent(top3Accuracy)}, expected calibration error ${percent(error)}`);
    output.say(`\n${classTable(measures, model.classNames)}`);
    output.say(`\n${confusionTable(measures.confusion, model.classNames)}`);
  } finally {
    model.dispose();
  }
}

type Measures = Pick<
  EvaluationEvent,
  'top3Accuracy' | 'expectedCalibrationError' | 'perClass' | 'averages' | 'confusion'
>;

async function measure(model: Sequential, test: LoadedDataset['test'], signal: AbortSignal): Promise<Measures> {
  const labels = test.targets;
  const outputs = await model.predict(test, { signal });
  const classes = outputs.length / labels.length;
  const confusion = confusionMatrix(labels, outputs);
  const { perClass, macro, micro, weighted } = classificationReport(labels, outputs);
  return {
    top3Accuracy: topKAccuracy(labels, outputs, { k: Math.min(3, classes) }),
    expectedCalibrationError: expectedCalibrationError(labels, outputs, {
      fromLogits: model.outputActivation !== 'softmax',
    }),
    perClass: perClass.map(({ label, support: count, precision, recall, f1 }) => ({
      label,
      count,
      correct: confusion[label][label],
      accuracy: count > 0 ? recall : null,
      precision,
      recall,
      f1,
    })),
    averages: { macro, micro, weighted },
    confusion,
  };
}
