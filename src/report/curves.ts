import type { EpochResult } from '../epoch-result.js';
import { type Chart, chart, chartGrid, type Series } from './charts.js';
import { html, type Markup } from './html.js';
import { formatNumber, type NumberFormat } from './numbers.js';

/** The learning rate of a step. */
export interface RatePoint {
  /** Epochs done with this step: 0.5 in the middle of the first. */
  epoch: number;
  learningRate: number;
}

/** Beyond these, a chart shows no more, and the page grows. */
const MOST_POINTS = 300;

/** Loss and accuracy by epoch, and the learning rate on the way. */
export function curves(results: readonly EpochResult[], rates: readonly RatePoint[]): Markup {
  const epochs = thinned(results, MOST_POINTS);
  const column = (name: string) => epochs.map((result) => result[name] ?? null);
  const byEpoch = (title: string, format: NumberFormat, training: string, validation: string) => {
    const series = [
      { label: 'Training', values: column(training) },
      { label: 'Validation', values: column(validation) },
    ].filter(({ values }) => values.some((value) => value !== null));
    if (series.length === 0) return null;
    const x = { label: 'Epoch', format: 'count' as const, values: epochs.map(({ epoch }) => epoch) };
    const y = { label: title, format };
    return chart({ title, x, y, series, description: series.map((each) => courseOf(each, x, format)).join(' ') });
  };
  const note =
    epochs.length < results.length
      ? ` ${formatNumber(epochs.length, 'count')} of ${formatNumber(results.length, 'count')} epochs are shown.`
      : '';
  return html`${chartGrid([
    byEpoch('Loss', 'loss', 'loss', 'validationLoss'),
    byEpoch('Accuracy', 'percent', 'accuracy', 'validationAccuracy'),
    rates.length > 0 && learningRates(thinned(rates, MOST_POINTS)),
  ])}
<p class="quiet">Loss and accuracy of training are means over the steps of an epoch, taken while the weights moved; those of
validation are measured at the end of the epoch.${note}</p>`;
}

function learningRates(rates: readonly RatePoint[]): Markup {
  const x = {
    label: 'Epochs done',
    format: 'plain' as const,
    range: [0, rates.at(-1)!.epoch] as const,
    values: rates.map(({ epoch }) => epoch),
  };
  const series = [{ label: 'Learning rate', values: rates.map(({ learningRate }) => learningRate) }];
  const description = courseOf(series[0], x, 'plain');
  return chart({ title: 'Learning rate', x, y: { label: 'Learning rate', format: 'plain' }, series, description });
}

/** The course of a line in words: where it begins and ends, and its least and greatest value. */
function courseOf({ label, values }: Series, x: Chart['x'], format: NumberFormat): string {
  const places = values.flatMap((value, index) => (value === null ? [] : [{ value, at: x.values[index] }]));
  const least = places.reduce((best, each) => (each.value < best.value ? each : best));
  const most = places.reduce((best, each) => (each.value > best.value ? each : best));
  const text = ({ value, at }: (typeof places)[number]) =>
    `${formatNumber(value, format)} at ${x.label.toLowerCase()} ${formatNumber(at, x.format)}`;
  return `${label}: from ${text(places[0])} to ${text(places.at(-1)!)}; least ${text(least)}, greatest ${text(most)}.`;
}

/** At most so many, evenly from the first to the last. */
function thinned<T>(list: readonly T[], most: number): readonly T[] {
  if (list.length <= most) return list;
  return Array.from({ length: most }, (_, index) => list[Math.round((index * (list.length - 1)) / (most - 1))]);
}
