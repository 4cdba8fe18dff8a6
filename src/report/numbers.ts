/** How a number is written: 97.94 %, 10,000, 0.0617, or with as many digits as it needs. */
export type NumberFormat = 'percent' | 'count' | 'loss' | 'plain';

/** A number for people. "–" where there is none; page/report.js writes the same. */
export function formatNumber(value: number | null | undefined, format: NumberFormat): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  switch (format) {
    case 'percent':
      return `${(value * 100).toFixed(2)} %`;
    case 'count':
      return Math.round(value).toLocaleString('en-US');
    case 'loss':
      return value.toFixed(4);
    case 'plain':
      return String(Number(value.toPrecision(4)));
  }
}
