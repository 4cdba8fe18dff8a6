import type { EpochResult } from '../epoch-result.js';
import { expected, MnistTrainError } from '../errors.js';
import { checkOptions } from '../options.js';
import type { Callback } from './callback.js';
import { type EpochLines, EpochLog } from './epoch-log.js';

export interface CsvLoggerOptions {
  /** Whether lines go behind those that the file has; otherwise a new fit replaces it. Default false. */
  append?: boolean;
  /** One character between fields, such as ';' or '\t'; default ','. */
  separator?: string;
}

/**
 * Writes a line for each epoch into a file of comma-separated values (RFC 4180, with \n at the ends of lines): Keras's
 * CSVLogger. The first line names the numbers of an epoch's result. The file is whole after every epoch; folders are made.
 * A resumed fit goes on behind the lines of the epochs before.
 *
 * Throws ERR_ARGUMENT for wrong options. A file that cannot be written ends the fit with ERR_FILE, one to append to that
 * does not have such a first line, or is no such table, with ERR_FORMAT.
 */
export function csvLogger(path: string, options?: CsvLoggerOptions): Callback {
  const { append = false, separator = ',' } = checkOptions(options, 'csvLogger', { append: true, separator: true });
  if (typeof separator !== 'string' || [...separator].length !== 1 || /["\r\n\p{Cs}]/u.test(separator)) {
    throw expected('one character other than a quote or the end of a line', 'separator', separator);
  }
  const read = (text: string, source: string) => new CsvLines(parseCsv(text, separator, source), separator, source);
  return new EpochLog({ owner: 'csvLogger', path, append, read });
}

class CsvLines implements EpochLines {
  readonly #separator: string;
  readonly #columns: string[];
  readonly #rows: string[][];

  constructor([columns = [], ...rows]: string[][], separator: string, source: string) {
    if (columns.length > 0 && !columns.includes('epoch')) {
      const hint = 'Choose another file or remove this one.';
      throw expected('a column epoch', `the first line of ${source}`, columns.join(separator), hint, 'ERR_FORMAT');
    }
    const wide = rows.findIndex((row) => row.length > columns.length);
    if (wide >= 0) {
      // A column to come would give its name to what stands there.
      const what = `at most ${columns.length} fields, as the first line has names,`;
      const hint = 'Choose another file or remove this one.';
      throw expected(what, `row ${wide + 1} of ${source}`, rows[wide].length, hint, 'ERR_FORMAT');
    }
    this.#separator = separator;
    this.#columns = columns;
    this.#rows = rows;
  }

  get count(): number {
    return this.#rows.length;
  }

  epochAt(index: number): number {
    const field = this.#rows[index][this.#columns.indexOf('epoch')];
    return field === '' ? Number.NaN : Number(field);
  }

  cut(count: number): void {
    this.#rows.length = count;
  }

  /** A number that earlier lines do not have gets a column of its own, which is empty there. */
  add(result: EpochResult): void {
    for (const name of Object.keys(result)) if (!this.#columns.includes(name)) this.#columns.push(name);
    // Its own only: a file may have a column that is called as what every object has.
    const own = new Map(Object.entries(result));
    this.#rows.push(this.#columns.map((name) => String(own.get(name) ?? '')));
  }

  toString(): string {
    const width = this.#columns.length;
    const line = (row: string[]) => {
      const fields = [...row, ...Array<string>(Math.max(0, width - row.length)).fill('')];
      return `${fields.map((field) => quoted(field, this.#separator)).join(this.#separator)}\n`;
    };
    return [this.#columns, ...this.#rows].map(line).join('');
  }
}

function quoted(field: string, separator: string): string {
  const plain = !/["\r\n]/.test(field) && !field.includes(separator);
  return plain ? field : `"${field.replaceAll('"', '""')}"`;
}

/** Lines with nothing in them do not count. Throws ERR_FORMAT. */
function parseCsv(text: string, separator: string, source: string): string[][] {
  const endOfPlain = new RegExp(`["\\r\\n\\u{${separator.codePointAt(0)!.toString(16)}}]`, 'gu');
  const rows: string[][] = [];
  let row: string[] = [];
  let lineStart = 0;
  for (let at = 0; at < text.length || row.length > 0; ) {
    const quote = text[at] === '"';
    endOfPlain.lastIndex = at;
    const end = quote ? closingQuote(text, at) : (endOfPlain.exec(text)?.index ?? text.length);
    row.push(quote ? text.slice(at + 1, end).replaceAll('""', '"') : text.slice(at, end));
    at = quote ? end + 1 : end;
    if (end >= 0 && text.startsWith(separator, at)) {
      at += separator.length;
      continue;
    }
    const lineBreak = text.startsWith('\r\n', at) ? 2 : 1;
    const ends = at === text.length || text[at + lineBreak - 1] === '\n';
    if (end < 0 || !ends) {
      const hint = 'Choose another file or remove this one.';
      throw new MnistTrainError(
        'ERR_FORMAT',
        `${source} has quotes or ends of lines in line ${rows.length + 1} that do not match. ${hint}`,
      );
    }
    if (at > lineStart) rows.push(row);
    row = [];
    at += lineBreak;
    lineStart = at;
  }
  return rows;
}

/** The place of the quote that ends a field, in which quotes are doubled; -1 when there is none. */
function closingQuote(text: string, open: number): number {
  for (let from = open + 1; ; ) {
    const quote = text.indexOf('"', from);
    if (quote < 0 || text[quote + 1] !== '"') return quote;
    from = quote + 2;
  }
}
