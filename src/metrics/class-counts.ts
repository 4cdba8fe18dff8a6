/**
 * Precision, recall and F1 from counts, by class and averaged.
 *
 *     precision_c = tp_c / predicted_c, recall_c = tp_c / support_c, F1_c = 2 tp_c / (predicted_c + support_c)
 *
 * where tp counts the samples of class c that got the answer c, predicted all that got it and support all that are of it
 * (van Rijsbergen, "Information retrieval", 1979, for F). A quotient with nothing below the line is 0, as in
 * scikit-learn.
 *
 * Averages, scikit-learn's: macro is the mean over the classes that occur among labels or answers, weighted the mean over
 * classes by their support, micro takes the counts of all classes together.
 */

export const AVERAGES = ['macro', 'micro', 'weighted'] as const;
export type Average = (typeof AVERAGES)[number];

export interface ClassScores {
  /** How many of the samples that got the answer are of the class. */
  precision: number;
  /** How many of the samples of the class got the answer. */
  recall: number;
  /** The harmonic mean of both. */
  f1: number;
}

/** Counts by class. */
export class ClassCounts {
  readonly classes: number;
  readonly truePositives: Float64Array;
  readonly predicted: Float64Array;
  readonly support: Float64Array;

  constructor(classes: number) {
    this.classes = classes;
    this.truePositives = new Float64Array(classes);
    this.predicted = new Float64Array(classes);
    this.support = new Float64Array(classes);
  }

  /** A sample of one class that got one answer. */
  add(label: number, answer: number): void {
    this.support[label]++;
    this.predicted[answer]++;
    if (label === answer) this.truePositives[label]++;
  }

  /** Whether a class is there and whether the answer says so, for answers that do not exclude each other. */
  addBinary(index: number, isThere: boolean, answer: boolean): void {
    if (isThere) this.support[index]++;
    if (answer) this.predicted[index]++;
    if (isThere && answer) this.truePositives[index]++;
  }

  scoresOf(index: number): ClassScores {
    return scores(this.truePositives[index], this.predicted[index], this.support[index]);
  }

  average(average: Average): ClassScores {
    if (average === 'micro') return scores(sum(this.truePositives), sum(this.predicted), sum(this.support));
    const weights = this.support.map((support, index) => {
      if (average === 'weighted') return support;
      return support + this.predicted[index] > 0 ? 1 : 0;
    });
    const mean: ClassScores = { precision: 0, recall: 0, f1: 0 };
    for (let index = 0; index < this.classes; index++) {
      const each = this.scoresOf(index);
      mean.precision += weights[index] * each.precision;
      mean.recall += weights[index] * each.recall;
      mean.f1 += weights[index] * each.f1;
    }
    const total = sum(weights);
    return {
      precision: quotient(mean.precision, total),
      recall: quotient(mean.recall, total),
      f1: quotient(mean.f1, total),
    };
  }
}

function scores(truePositives: number, predicted: number, support: number): ClassScores {
  return {
    precision: quotient(truePositives, predicted),
    recall: quotient(truePositives, support),
    f1: quotient(2 * truePositives, predicted + support),
  };
}

const quotient = (a: number, b: number): number => (b === 0 ? 0 : a / b);
const sum = (values: Float64Array): number => values.reduce((total, value) => total + value, 0);
