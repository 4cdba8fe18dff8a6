/** Two to five round numbers from `from` to `to`, both included where they are round; `from` is below `to`. */
export function roundNumbers(from: number, to: number): number[] {
  const range = to - from;
  const power = 10 ** Math.floor(Math.log10(range));
  const distance = [power / 5, power / 2, power, power * 2].find((each) => range / each < 5)!;
  // Whole multiples first: adding up distances would add up their rounding.
  const first = Math.ceil(from / distance - 1e-9);
  const last = Math.floor(to / distance + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, index) => (first + index) * distance);
}
