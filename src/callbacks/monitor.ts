import { moreIsBetter } from '../epoch-result.js';
import { checkOneOf, expected } from '../errors.js';
import type { CallbackContext } from './callback.js';

/** min: less is better; max: more is; auto: max for accuracies, precision, recall, F1, AUC, top-k and R², else min. */
export type MonitorMode = 'auto' | 'min' | 'max';

export interface MonitorOptions {
  /** The number of an epoch's result to watch; default 'validationLoss'. */
  monitor?: string;
  /** Which way is better; default 'auto'. */
  mode?: MonitorMode;
}

const DEFAULT_MONITOR = 'validationLoss';
const MODES = ['auto', 'min', 'max'] as const;

/** A number of epochs' results that is watched for getting better. */
export class Monitor {
  readonly name: string;
  /** Whether somebody asked for it, or it is the default. */
  readonly given: boolean;
  readonly #sign: 1 | -1;

  constructor({ monitor, mode = 'auto' }: MonitorOptions) {
    this.given = monitor !== undefined;
    this.name = monitor ?? DEFAULT_MONITOR;
    if (typeof this.name !== 'string') throw expected('the name of a number in the epochs', 'monitor', monitor);
    const way = checkOneOf(mode, 'mode', MODES);
    this.#sign = (way === 'auto' ? moreIsBetter(this.name) : way === 'max') ? 1 : -1;
  }

  /** Whether `value` is better than `reference` by more than `minDelta`; than nothing, every finite number is. */
  isBetter(value: number, reference: number | null, minDelta = 0): boolean {
    if (!Number.isFinite(value)) return false;
    return reference === null || this.#sign * value - minDelta > this.#sign * reference;
  }

  /** Throws ERR_ARGUMENT when the fit's epochs have no such number. */
  check(context: CallbackContext, owner: string): void {
    if (!context.monitors.includes(this.name)) {
      throw unknownMonitor(this.name, `monitor of ${owner}`, context.monitors);
    }
  }
}

/** The error for a number that the fit's epochs do not have. */
export function unknownMonitor(name: string, where: string, monitors: readonly string[]) {
  const hint = name.startsWith('validation') ? 'Give fit validationSplit or validationData to have it.' : '';
  return expected(`one of ${monitors.join(', ')}`, where, name, hint);
}
