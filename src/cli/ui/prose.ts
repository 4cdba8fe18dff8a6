/** Sentences and numbers inside them. */

/** A text in lines of at most `width` columns, broken at blanks but before "%". A longer word has a line of its own. */
export function wrapped(text: string, width: number, indent = ''): string[] {
  const lines: string[] = [];
  let line = indent;
  for (const word of text.trim().split(/ +(?!%)/)) {
    if (line !== indent && line.length + 1 + word.length > width) {
      lines.push(line);
      line = indent;
    }
    line += line === indent ? word : ` ${word}`;
  }
  return [...lines, line];
}

/** With two digits behind the point, or the first two that are not 0: 13.60, -0.07, 0.0031, 4.7e-5. */
export function plainNumber(value: number): string {
  const size = Math.abs(value);
  if (size === 0) return '0';
  if (size >= 0.095) return value.toFixed(2);
  return size >= 1e-4 ? String(Number(value.toPrecision(2))) : value.toExponential(1).replace('e+', 'e');
}

/** The same with its sign: +13.60. */
export const signedNumber = (value: number): string => `${value > 0 ? '+' : ''}${plainNumber(value)}`;
