/** Numbers as people read them. All in one place, so that every command shows a quantity the same way. */

/** 0.97941 as "97.94 %". */
export const percent = (fraction: number, digits = 2): string => `${(fraction * 100).toFixed(digits)} %`;

/** 101770 as "101,770". */
export const count = (value: number): string => Math.round(value).toLocaleString('en-US');

/** A loss, or NaN as it is. */
export const loss = (value: number): string => value.toFixed(4);

/** A learning rate, short enough to type: 0.0048, 1e-6. */
export function rate(value: number): string {
  const short = Number(value.toPrecision(2));
  return short >= 1e-4 && short < 1e4 ? String(short) : short.toExponential().replace('e+', 'e');
}

/** Seconds with a fitting unit: "41.2 µs", "3.10 ms", "1.52 s", "2:05 min", "1:02:05 h". */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '-';
  if (seconds < 1e-3) return `${(seconds * 1e6).toPrecision(3)} µs`;
  if (seconds < 0.9995) return `${(seconds * 1e3).toPrecision(3)} ms`;
  if (seconds < 60) return `${seconds.toFixed(2)} s`;
  const whole = Math.round(seconds);
  const pad = (value: number) => String(value).padStart(2, '0');
  return whole < 3600
    ? `${Math.floor(whole / 60)}:${pad(whole % 60)} min`
    : `${Math.floor(whole / 3600)}:${pad(Math.floor(whole / 60) % 60)}:${pad(whole % 60)} h`;
}

/** Time left, as a clock: "0:04", "12:05", "1:00:00". */
export function clock(seconds: number): string {
  if (!Number.isFinite(seconds)) return '-:--';
  const whole = Math.max(0, Math.round(seconds));
  const pad = (value: number) => String(value).padStart(2, '0');
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours > 0 ? `${hours}:${pad(minutes)}:${pad(whole % 60)}` : `${minutes}:${pad(whole % 60)}`;
}

/** 11500000 as "11.5 MB" (decimal units, as download pages give them). */
export function bytes(value: number): string {
  if (value < 1000) return `${value} B`;
  if (value < 1e6) return `${(value / 1e3).toFixed(1)} kB`;
  return value < 1e9 ? `${(value / 1e6).toFixed(1)} MB` : `${(value / 1e9).toFixed(2)} GB`;
}

/** "1 image", "2 images". */
export const plural = (value: number, noun: string): string => `${count(value)} ${noun}${value === 1 ? '' : 's'}`;
