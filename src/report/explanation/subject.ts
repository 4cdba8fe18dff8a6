import type { LayerConfig } from '../../layers/layer.js';
import type { Explanation } from '../../model/explain/explanation.js';

export interface ExplanationSubject {
  explanation: Explanation;
  /** The layers' options, as in `model.layers`. */
  layers: readonly LayerConfig[];
  /** In a word: 784-128-10. */
  network: string;
  size: { width: number; height: number };
  /** What the image is called. */
  image: string;
  /** How it was converted, in words. */
  notes: readonly string[];
  /** Its own label, where that is known. */
  expected?: number;
}

export const capitalized = (text: string): string => `${text[0].toUpperCase()}${text.slice(1)}`;

/** A class's name. */
export const nameOf = ({ classes }: Explanation, label: number): string => classes[label].name;
