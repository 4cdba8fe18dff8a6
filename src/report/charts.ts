import { dataTable, details } from './elements.js';
import { html, jsonBlock, type Markup, type Part, withChart } from './html.js';
import { formatNumber, type NumberFormat } from './numbers.js';

export interface Axis {
  label: string;
  format: NumberFormat;
  /** Where it begins and ends; default: where the values do. */
  range?: readonly [from: number, to: number];
  /** Default linear. */
  scale?: 'linear' | 'logarithmic';
}

export interface Series {
  label: string;
  /** One for each x; null where there is none. */
  values: readonly (number | null)[];
  /** Default line. A reference is what others are compared with: it stands in no table. */
  draw?: 'line' | 'bars' | 'reference';
}

export interface Chart {
  title: string;
  /** In words what is to be seen, for those who do not see it. */
  description: string;
  x: Axis & { values: readonly number[] };
  y: Axis;
  series: readonly Series[];
  /** In place of the table of the series. */
  table?: Markup;
}

/**
 * A chart with a table of the same numbers, which is closed once the page's script has drawn the chart: without it, the
 * table stands open in its place. The drawing is uPlot's, told what to draw by page/report.js.
 */
export function chart(spec: Chart): Markup {
  const { title, description, x, y, series } = spec;
  const drawing = jsonBlock('chart-data', {
    x: { ...axis(x), values: x.values },
    y: axis(y),
    series: series.map(({ label, values, draw = 'line' }) => ({ label, values, draw })),
  });
  return withChart(html`<figure class="chart">
<figcaption>${title}</figcaption>
<div class="plot" role="img" aria-label="${`${title}. ${description}`}" hidden></div>
${drawing}
${details('The numbers of this chart', spec.table ?? tableOf(spec), true)}</figure>\n`);
}

/** Charts side by side where there is room. */
export const chartGrid = (charts: readonly Part[]): Markup => html`<div class="charts">${charts}</div>\n`;

function tableOf({ title, x, y, series }: Chart): Markup {
  const tabled = series.filter(({ draw }) => draw !== 'reference');
  return dataTable({
    caption: title,
    columns: [{ title: x.label }, ...tabled.map(({ label }) => ({ title: label, align: 'number' as const }))],
    rows: x.values.flatMap((value, index) => {
      const numbers = tabled.map(({ values }) => values[index]);
      if (numbers.every((number) => number === null)) return [];
      return [[formatNumber(value, x.format), ...numbers.map((number) => formatNumber(number, y.format))]];
    }),
  });
}

const axis = ({ label, format, range, scale = 'linear' }: Axis) => ({ label, format, scale, range: range ?? null });
