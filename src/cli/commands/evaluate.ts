import { Command } from 'commander';
import { loadModel } from '../../index.js';
import type { Context, Run } from '../context.js';
import { datasetOf, loadForCommand } from '../dataset.js';
import { chooseBackend, engineText } from '../engine.js';
import { answersOn, measureAnswers, measuresForReport } from '../measures.js';
import {
  addDataOptions,
  addEngineOptions,
  addReportOption,
  type CommonOptions,
  type DataOptions,
  type EngineOptions,
} from '../options.js';
import { checkReportFile, tryToWrite } from '../report.js';
import { classTable, confusionTable } from '../ui/evaluation.js';
import { loss, percent, plural } from '../ui/format.js';

interface EvaluateOptions extends CommonOptions, DataOptions, EngineOptions {
  report?: string;
}

export function evaluateCommand(run: Run): Command {
  const command = new Command('evaluate')
    .description('Measure a model on the test set: accuracy, loss, calibration, each class and the confusion matrix.')
    .argument('<model>', 'model file that train wrote');
  addReportOption(command);
  addDataOptions(command, 'what the model was trained on');
  addEngineOptions(command);
  return command.action(run.action(evaluate));
}

async function evaluate(context: Context, options: EvaluateOptions, [path]: string[]): Promise<void> {
  const { output, signal, given, version } = context;
  checkReportFile(options.report, { 'the model': path });
  const model = await loadModel(path, { backend: await chooseBackend(options, output), threads: options.threads });
  try {
    const dataset = datasetOf(model, options);
    const { test } = await loadForCommand(context, { ...options, dataset });
    model.compile({ optimizer: 'sgd', loss: 'categoricalCrossentropy' });
    const evaluation = await model.evaluate(test, { signal });
    const { accuracy = Number.NaN, loss: meanLoss, count } = evaluation;
    const answers = await answersOn(model, test, signal);
    const measures = measureAnswers(answers);
    const { name: backend, isa, threads } = model.backend;
    const engine = { backend, isa, threads };
    const written = await tryToWrite(options.report, async (file) => {
      const { writeEvaluationReport } = await import('../write-report.js');
      const detailed = measuresForReport(evaluation, answers, measures, test);
      const parts = { model, path, dataset, options, given, version, measures: detailed };
      await writeEvaluationReport(file, parts);
    });
    output.event({
      event: 'evaluation',
      model: path,
      dataset,
      accuracy,
      loss: meanLoss,
      count,
      ...measures,
      ...engine,
      ...(written.report !== undefined && { report: written.report }),
    });
    const { top3Accuracy, expectedCalibrationError: error } = measures;
    output.say(`${path} on the test set of ${dataset}, ${plural(count, 'image')}; ${engineText(engine)}`);
    output.say(`Accuracy ${output.style.strong(percent(accuracy))}, loss ${loss(meanLoss)}`);
    output.say(`Among the first three ${percent(top3Accuracy)}, expected calibration error ${percent(error)}`);
    output.say(`\n${classTable(measures, model.classNames)}`);
    output.say(`\n${confusionTable(measures.confusion, model.classNames)}`);
    if (written.report !== undefined) output.say(`\nThe report is in ${written.report}.`);
    written.throwFailure();
  } finally {
    model.dispose();
  }
}
