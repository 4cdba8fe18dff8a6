import type { ReliabilityBin } from '../metrics/expected-calibration-error.js';
import { chart, chartGrid } from './charts.js';
import { dataTable } from './elements.js';
import { html, type Markup } from './html.js';
import type { Measures } from './measures.js';
import { formatNumber } from './numbers.js';

const WHOLE = [0, 1] as const;

/** Whether the model is as sure as it is right: the reliability diagram, and how many images each of its points stands for. */
export function calibration({
  reliability,
  expectedCalibrationError,
}: Pick<Measures, 'reliability' | 'expectedCalibrationError'>): Markup {
  const error = formatNumber(expectedCalibrationError, 'percent');
  return html`<p>Images are sorted by the probability of their answer into ${reliability.length} bins. Where the answers of a bin
are right as often as the model says, its point is on the dotted line; above the line the model is less sure than it could be,
below it surer. The expected calibration error, the mean distance over all images, is <strong>${error}</strong>.</p>
${chartGrid([diagram(reliability), counts(reliability)])}`;
}

function diagram(bins: readonly ReliabilityBin[]): Markup {
  const filled = bins.filter(({ count }) => count > 0);
  // The line of perfect calibration goes from corner to corner.
  const inside = filled.filter(({ confidence }) => confidence! > 0 && confidence! < 1);
  const certain = filled.find(({ confidence }) => confidence! >= 1);
  const values = [0, ...inside.map(({ confidence }) => confidence!), 1];
  const accuracies = [null, ...inside.map(({ accuracy }) => accuracy), certain?.accuracy ?? null];
  const farthest = filled.reduce((worst, bin) => (distance(bin) > distance(worst) ? bin : worst));
  return chart({
    title: 'Accuracy by confidence',
    description: `They are farthest apart at a confidence of ${formatNumber(farthest.confidence, 'percent')}, where the accuracy is ${formatNumber(farthest.accuracy, 'percent')}.`,
    x: { label: 'Mean confidence', format: 'percent', range: WHOLE, values },
    y: { label: 'Accuracy', format: 'percent', range: WHOLE },
    series: [
      { label: 'Accuracy', values: accuracies },
      { label: 'Perfect calibration', values, draw: 'reference' },
    ],
  });
}

const distance = ({ accuracy, confidence }: ReliabilityBin) => Math.abs(accuracy! - confidence!);

function counts(bins: readonly ReliabilityBin[]): Markup {
  const percent = (value: number | null) => formatNumber(value, 'percent');
  const most = Math.max(...bins.map(({ count }) => count));
  const fullest = bins.find(({ count }) => count === most)!;
  const title = 'Images by confidence';
  return chart({
    title,
    description: `Most images, ${formatNumber(most, 'count')}, have a confidence from ${percent(fullest.lower)} to ${percent(fullest.upper)}.`,
    x: {
      label: 'Confidence',
      format: 'percent',
      range: WHOLE,
      values: bins.map(({ lower, upper }) => (lower + upper) / 2),
    },
    // Half an image is no number of images, but lets a single one have a bar.
    y: { label: 'Images', format: 'count', scale: 'logarithmic', range: [0.5, 10 ** Math.ceil(Math.log10(most + 1))] },
    series: [{ label: 'Images', draw: 'bars', values: bins.map(({ count }) => (count > 0 ? count : null)) }],
    table: dataTable({
      caption: title,
      columns: [
        { title: 'Confidence' },
        ...['Images', 'Mean confidence', 'Accuracy'].map((each) => ({ title: each, align: 'number' as const })),
      ],
      rows: bins.map(({ lower, upper, count, confidence, accuracy }) => [
        `${percent(lower)} to ${percent(upper)}`,
        formatNumber(count, 'count'),
        percent(confidence),
        percent(accuracy),
      ]),
    }),
  });
}
