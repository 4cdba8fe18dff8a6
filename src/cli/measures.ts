import type { LoadedDataset } from '../data/load.js';
import {
  classificationReport,
  confusionMatrix,
  expectedCalibrationError,
  reliabilityDiagram,
  type Sequential,
  topKAccuracy,
} from '../index.js';
import { answerOf, type Labels } from '../metrics/inputs.js';
import { probabilitiesFromLogits } from '../metrics/probabilities.js';
import type { Measures, Mistake } from '../report/measures.js';
import type { EvaluationEvent } from './events.js';

type TestSet = LoadedDataset['test'];

/** What `evaluate` says of the answers, and the outputs that it comes from. */
type AnswerMeasures = Pick<
  EvaluationEvent,
  'top3Accuracy' | 'expectedCalibrationError' | 'perClass' | 'averages' | 'confusion'
>;

interface Answers {
  labels: Labels;
  /** [count, classes]. */
  outputs: Float32Array;
  /** The outputs are what comes before softmax. */
  fromLogits: boolean;
}

/** Rejects with ERR_ABORTED after the signal. */
export async function answersOn(model: Sequential, test: TestSet, signal: AbortSignal): Promise<Answers> {
  const outputs = await model.predict(test, { signal });
  return { labels: test.targets, outputs, fromLogits: model.outputActivation !== 'softmax' };
}

export function measureAnswers({ labels, outputs, fromLogits }: Answers): AnswerMeasures {
  const confusion = confusionMatrix(labels, outputs);
  const { perClass, macro, micro, weighted } = classificationReport(labels, outputs);
  return {
    top3Accuracy: topKAccuracy(labels, outputs, { k: Math.min(3, outputs.length / labels.length) }),
    expectedCalibrationError: expectedCalibrationError(labels, outputs, { fromLogits }),
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

/** In a report. */
const MOST_MISTAKES = 24;

/** What a report shows besides. */
export function measuresForReport(
  { accuracy = Number.NaN, loss, count }: { accuracy?: number; loss: number; count: number },
  answers: Answers,
  measured: AnswerMeasures,
  test: TestSet,
): Measures {
  const { labels, outputs, fromLogits } = answers;
  return {
    accuracy,
    loss,
    count,
    ...measured,
    reliability: reliabilityDiagram(labels, outputs, { fromLogits }),
    mistakes: surestMistakes(answers, test),
  };
}

/** The wrong answers of the greatest probability; of equal ones the first. */
function surestMistakes({ labels, outputs, fromLogits }: Answers, test: TestSet): Mistake[] {
  const classes = outputs.length / labels.length;
  const probabilities = fromLogits ? probabilitiesFromLogits(outputs, classes) : outputs;
  const wrong: { index: number; answer: number; probability: number }[] = [];
  for (let index = 0; index < labels.length; index++) {
    const answer = answerOf(outputs, index, classes);
    if (answer !== labels[index]) wrong.push({ index, answer, probability: probabilities[index * classes + answer] });
  }
  wrong.sort((a, b) => b.probability - a.probability);
  return wrong.slice(0, MOST_MISTAKES).map(({ index, answer }) => ({
    index,
    label: labels[index],
    answer,
    probabilities: [...probabilities.subarray(index * classes, (index + 1) * classes)],
    image: imageOf(test, index),
  }));
}

function imageOf({ inputs, shape: [height, width, channels] }: TestSet, index: number): Mistake['image'] {
  if (channels !== 1) return null;
  const size = height * width;
  return { height, width, pixels: inputs.subarray(index * size, (index + 1) * size) };
}
