import { readFileSync } from 'node:fs';

/** What a report says, read from its HTML. */
export interface ReadReport {
  html: string;
  /** The numbers of a chart, by its title. */
  chart(title: string): { x: number[]; series: Record<string, (number | null)[]> };
  /** What stands beside a term. */
  term(name: string): string | undefined;
  command: string;
  /** The counts of the confusion matrix. */
  confusion: number[][];
}

export function readReport(file: string): ReadReport {
  const html = readFileSync(file, 'utf8');
  const charts = new Map(
    [
      ...html.matchAll(
        /<figure class="chart">\s*<figcaption>(.*?)<\/figcaption>.*?class="chart-data">(.*?)<\/script>/gs,
      ),
    ].map(([, title, json]) => [title, JSON.parse(json)]),
  );
  const terms = new Map(
    [...html.matchAll(/<dt>(.*?)<\/dt><dd>(.*?)<\/dd>/gs)].map(([, term, value]) => [term, textOf(value)]),
  );
  const matrix = /<table class="confusion">.*?<tbody>(.*?)<\/tbody>/s.exec(html)?.[1] ?? '';
  return {
    html,
    chart: (title) => {
      const { x, series } = charts.get(title);
      return {
        x: x.values,
        series: Object.fromEntries(
          series.map((each: { label: string; values: number[] }) => [each.label, each.values]),
        ),
      };
    },
    term: (name) => terms.get(name),
    command: textOf(/<pre class="command"[^>]*><code>(.*?)<\/code>/s.exec(html)?.[1] ?? ''),
    confusion: [...matrix.matchAll(/<tr>(.*?)<\/tr>/gs)].map(([, row]) =>
      [...row.matchAll(/<td[^>]*>([\d,]+)<\/td>/g)].map(([, count]) => Number(count.replace(',', ''))),
    ),
  };
}

const CHARACTERS: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" };

/** HTML without its tags. */
const textOf = (html: string): string =>
  html.replace(/<[^>]*>/g, '').replace(/&(amp|lt|gt|quot|#39);/g, (_, name: string) => CHARACTERS[name]);
