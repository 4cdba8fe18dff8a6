import type { JsonValue } from '../json.js';

/** HTML that is right as it stands: only `html` and `trusted` make it. */
export class Markup {
  readonly #text: string;
  /** Whether a chart is in it, which needs the page's script. */
  readonly hasChart: boolean;

  constructor(text: string, hasChart = false) {
    this.#text = text;
    this.hasChart = hasChart;
  }

  toString(): string {
    return this.#text;
  }
}

/** What a template takes: nothing for null, undefined and false. */
export type Part = Markup | string | number | null | undefined | false | readonly Part[];

/**
 * A template of HTML. All that is put in is text, whatever it looks like, but for other templates; lists of parts are
 * joined. Values of attributes have to be in quotes; parts must not stand inside scripts and styles (`jsonBlock`, `trusted`).
 */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  const text = strings.reduce((before, string, index) => before + textOf(parts[index - 1]) + string);
  return new Markup(text, hasChart(parts));
}

/** Text of the program's own that is HTML already. */
export const trusted = (text: string): Markup => new Markup(text);

/** HTML with a chart in it. */
export const withChart = (markup: Markup): Markup => new Markup(String(markup), true);

/** A script of the program's own; `attributes` begin with a space. It is no `html`: bundlers rewrite templates with its end. */
export const scriptElement = (text: string, attributes = ''): Markup =>
  trusted(`<script${attributes}>${text}</script>`);

/** Data for a script of the page, which is no script itself. A `<` in a text cannot end it. */
export function jsonBlock(className: string, value: JsonValue): Markup {
  const json = JSON.stringify(value).replaceAll('<', '\\u003c');
  return scriptElement(json, ` type="application/json" class="${textOf(className)}"`);
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function textOf(part: Part): string {
  if (part === null || part === undefined || part === false) return '';
  if (part instanceof Markup) return String(part);
  if (Array.isArray(part)) return part.map(textOf).join('');
  return String(part).replace(/[&<>"']/g, (character) => ENTITIES[character]);
}

const hasChart = (parts: readonly Part[]): boolean =>
  parts.some((part) => (Array.isArray(part) ? hasChart(part) : part instanceof Markup && part.hasChart));
