/** What `explain` gives: plain objects, lists and numbers, which JSON.stringify writes as they stand. */

export interface Explanation {
  /** The sample as the network sees it, pixels from 0 (background) to 1 (ink). */
  input: { shape: readonly number[]; values: readonly number[] };
  /** Every class, in their order. */
  classes: readonly ExplainedClass[];
  /** The class with the greatest logit. */
  answer: number;
  /** The class that the answer is weighed against: the label where the answer is another class, else the second. */
  rival: number;
  /** The class that the step teaches. */
  label: number;
  /** In the order in which the sample goes through them, as given to `sequential`. */
  layers: readonly ExplainedLayer[];
  /** What the pixels did for the answer's logit, and for its lead: that logit minus the rival's. */
  contributions: { answer: Contributions; lead: Contributions };
  /** What one step of training on this sample changes. */
  step: ExplainedStep;
}

export interface ExplainedClass {
  label: number;
  /** The class's name; its number where the model has no names. */
  name: string;
  /** What the last layer makes of the sample before softmax, in the engine's float32. */
  logit: number;
  /** As `predict` gives it: softmax of the logits. */
  probability: number;
}

export interface ExplainedLayer {
  /** The place in the list given to `sequential`. */
  layer: number;
  type: string;
  /** As `summary` calls it: "0 dense (relu)". */
  name: string;
  /** Of what it puts out. */
  shape: readonly number[];
  /** How many of the numbers that it puts out are exactly 0. */
  off: number;
  least: number;
  greatest: number;
  /**
   * The strongest, by the absolute value of what they put out. Of images, a channel counts once, where it is strongest.
   * Empty for layers that pass on what they get, such as dropout and flatten.
   */
  neurons: readonly ExplainedNeuron[];
}

export interface ExplainedNeuron {
  /** Which unit, or of images which channel. */
  unit: number;
  /** Of images: where in the layer's output, from 0. */
  place?: { row: number; column: number };
  /** What it puts out. */
  activation: number;
  /** Σ weight × input + bias, before the activation. Of layers with weights. */
  weightedSum?: number;
  /** 0 where the layer has none. Of layers with weights. */
  bias?: number;
  /**
   * weight × input of each number of the input, in its shape, exactly: with the bias they add up to `weightedSum`, which
   * the engine rounds to float32. Of a first dense layer.
   */
  pixels?: readonly number[];
  /** The units of the next layer, a dense one, that it does most for or against: activation × weight. */
  feeds?: readonly { unit: number; weight: number; contribution: number }[];
}

/**
 * What a logit, or the difference of two, is made of:
 *
 *     logit = Σ pixels + Σ rest + rounding
 *
 * `pixels` are gradient × input, all in float64. For a network that is one dense layer the gradients are its weights. `rest`
 * is what each layer adds that comes from no pixel: gradient × bias, with batch normalization's shift (beta - mean ×
 * scale). Networks of relu, leakyRelu, pools, convolutions, residuals and normalization are linear around every input, so that
 * this is all. tanh, sigmoid, gelu and a softmax in the middle are curved; what their tangents have at 0 is part of `rest` as well.
 *
 * `logit` is what the engine computed, in float32, and `rounding` what it differs by from the sums, which are float64:
 *
 *     |rounding| <= roundingBound = γ(n) × M,   γ(n) = n u / (1 - n u),   u = 2^-24
 *
 * n is how often a number is rounded on its way from a pixel to the logit at most, and M what the logit would be if all
 * weights, biases and inputs were positive. Higham, "Accuracy and stability of numerical algorithms" (2002), section 3.1.
 */
export interface Contributions {
  /** weights: of a network that is one dense layer; gradient: of all others. */
  method: 'weights' | 'gradient';
  logit: number;
  /** One for each number of the input, in its shape. Add them up in their order. */
  pixels: readonly number[];
  /** In the order of the layers. Add them up in their order, then to the sum of the pixels. */
  rest: readonly LayerContribution[];
  rounding: number;
  /** Null where none is known: with a softmax in the middle. */
  roundingBound: number | null;
}

export interface LayerContribution {
  /** The place in the list given to `sequential`. */
  layer: number;
  /**
   * curvature: of an activation that is no straight line. A residual with such an activation inside has both in one number,
   * as curvature.
   */
  of: 'biases' | 'shift' | 'curvature';
  contribution: number;
}

/**
 * A step of training, made by `fit` on a copy of the model: one epoch of this one sample. With the default optimizer, sgd
 * without momentum, after = before - learningRate × gradient, each operation rounded to float32 (docs/numerics.md).
 */
export interface ExplainedStep {
  label: number;
  optimizer: string;
  learningRate: number;
  /** As the step itself has it, with dropout and with batch normalization's statistics of this one sample, before it changed anything. */
  trainingLoss: number;
  /** As `evaluate` has it: of the whole network, before and after the step. */
  lossBefore: number;
  lossAfter: number;
  /** After the step, in the order of the classes. */
  probabilitiesAfter: readonly number[];
  /** Of everything that learns, in layer order. */
  parameters: readonly ExplainedGradients[];
}

export interface ExplainedGradients {
  /** As in a model file: "0.weight". */
  name: string;
  /** In words: "weights of layer 0". */
  title: string;
  /** Of the parameter, as `getWeights` lays it out. */
  shape: readonly number[];
  /** The Euclidean norm of the gradient. */
  norm: number;
  /** How many of its numbers are exactly 0: weights of dark pixels, and of neurons that are off. */
  zeros: number;
  /** The largest, by their absolute value. */
  largest: readonly ExplainedGradient[];
}

export interface ExplainedGradient {
  /** In the parameter, counted row-major. */
  index: number;
  /** In words, rows and columns from 0: "pixel row 12 column 9 to neuron 37". */
  place: string;
  /** What the optimizer was given: of the loss, with the penalties of regularizers. */
  gradient: number;
  before: number;
  after: number;
}
