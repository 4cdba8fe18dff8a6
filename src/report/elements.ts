import { html, type Markup, type Part, trusted } from './html.js';

/** The parts that pages are put together from. */

export interface Column {
  title: string;
  /** Numbers stand at the right end; the first column names its row. */
  align?: 'text' | 'number';
}

export interface DataTable {
  caption: string;
  columns: readonly Column[];
  /** As many parts as columns each; the first is the row's header. */
  rows: readonly (readonly Part[])[];
  /** Rows behind a line: averages, say. */
  totals?: readonly (readonly Part[])[];
}

/** A table that scrolls by itself where the page is too narrow for it. */
export function dataTable({ caption, columns, rows, totals = [] }: DataTable): Markup {
  const alignment = (index: number) => (columns[index].align === 'number' ? 'number' : 'text');
  const head = columns.map(({ title }, index) => html`<th scope="col" class="${alignment(index)}">${title}</th>`);
  const cell = (part: Part, index: number) =>
    index === 0
      ? html`<th scope="row" class="${alignment(0)}">${part}</th>`
      : html`<td class="${alignment(index)}">${part}</td>`;
  const body = (list: readonly (readonly Part[])[], className: string) =>
    list.length > 0 &&
    html`<tbody class="${className}">${list.map((row) => html`<tr>${row.map(cell)}</tr>\n`)}</tbody>`;
  return scrolling(
    caption,
    html`<table>
<caption>${caption}</caption>
<thead><tr>${head}</tr></thead>
${body(rows, 'rows')}${body(totals, 'totals')}
</table>`,
  );
}

/** What may be wider than the page: it scrolls, with the keyboard too. */
export const scrolling = (label: string, content: Part): Markup =>
  html`<div class="scroll" role="region" aria-label="${label}" tabindex="0">${content}</div>\n`;

/** Something to look at, with words below it. */
export const figure = (content: Part, caption: Part): Markup =>
  html`<figure>${content}<figcaption>${caption}</figcaption></figure>\n`;

/** What opens on demand, or closes where it is open. */
export const details = (summary: Part, content: Part, open = false): Markup =>
  html`<details${open && trusted(' open')}><summary>${summary}</summary>${content}</details>\n`;

/** Terms with what they are, one below the other. */
export const definitions = (entries: readonly (readonly [term: string, description: Part])[]): Markup =>
  html`<dl class="definitions">${entries.map(([term, what]) => html`<div><dt>${term}</dt><dd>${what}</dd></div>\n`)}</dl>\n`;

export type Headline = readonly (readonly [term: string, value: string])[];

/** The few numbers that matter most, large. */
export const headline = (entries: Headline): Markup =>
  html`<dl class="headline">${entries.map(([term, value]) => html`<div><dt>${term}</dt><dd>${value}</dd></div>\n`)}</dl>\n`;

/** A line of a shell. */
export const commandLine = (text: string): Markup =>
  html`<pre class="command" tabindex="0"><code>${text}</code></pre>\n`;

/** A remark that nobody should pass over. */
export const notice = (content: Part): Markup => html`<p class="notice">${content}</p>\n`;

export interface Picture {
  /** Of an image file: `pngDataUri`. */
  uri: string;
  /** In words what it shows; empty where words beside it say that. */
  alt: string;
  /** Pixels of the image, each shown as `scale` x `scale`. */
  width: number;
  height: number;
  scale?: number;
}

/** A picture whose pixels are to be seen. */
export const picture = ({ uri, alt, width, height, scale = 1 }: Picture): Markup =>
  html`<img class="pixels" src="${uri}" alt="${alt}" width="${width * scale}" height="${height * scale}">`;
