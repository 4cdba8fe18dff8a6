import { checkOptions } from '../options.js';
import { ClassCounts, type ClassScores } from './class-counts.js';
import { type Labels, readAnswers, type Scores } from './inputs.js';

export interface ClassificationReportOptions {
  /** The number of classes; default: as many as the probabilities have, or one more than the greatest class index. */
  classes?: number;
}

export interface ClassificationReport {
  /** By class index. */
  perClass: (ClassScores & {
    label: number;
    /** Samples of the class. */
    support: number;
  })[];
  /** The mean over the classes that occur among labels or answers. */
  macro: ClassScores;
  /** Of all classes' counts together: all three are the accuracy, since every sample has one class and one answer. */
  micro: ClassScores;
  /** The mean over classes by their support; its recall is the accuracy. */
  weighted: ClassScores;
  accuracy: number;
  count: number;
}

/**
 * Precision, recall, F1 and support of each class, and their averages; `answers` as in `confusionMatrix`. A quotient with
 * nothing below the line is 0, as in scikit-learn. With yes and no, class 1 is "yes": `perClass[1]` has what is called
 * precision and recall there. Formulas: class-counts.ts. Throws ERR_ARGUMENT, ERR_SHAPE or ERR_DATA, naming the place.
 */
export function classificationReport(
  labels: Labels,
  answers: Labels | Scores,
  options?: ClassificationReportOptions,
): ClassificationReport {
  const checked = checkOptions(options, 'classificationReport', { classes: true });
  const { predictions, classes } = readAnswers(labels, answers, checked.classes);
  const counts = new ClassCounts(classes);
  for (let sample = 0; sample < labels.length; sample++) counts.add(labels[sample], predictions[sample]);
  const micro = counts.average('micro');
  return {
    perClass: Array.from({ length: classes }, (_, label) => ({
      label,
      ...counts.scoresOf(label),
      support: counts.support[label],
    })),
    macro: counts.average('macro'),
    micro,
    weighted: counts.average('weighted'),
    accuracy: micro.recall,
    count: labels.length,
  };
}
