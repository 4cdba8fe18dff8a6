import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { codeFile } from '../location.js';
import { html, type Markup, type Part, scriptElement, trusted } from './html.js';

export interface Section {
  /** Its place in links: a word of small letters and dashes. */
  id: string;
  title: string;
  content: Part;
}

export interface Page {
  title: string;
  /** Below the title: what this is about, in a line or two. */
  lead?: Part;
  /** Before the sections: the numbers that matter most. */
  summary?: Part;
  sections: readonly Section[];
  footer?: Part;
}

/**
 * A page as one text that needs nothing else, neither a server nor the network, and that runs and shows nothing but what the
 * program put there: its policy names the digests of the style and of the scripts. There are scripts only with a chart.
 */
export function renderPage({ title, lead, summary, sections, footer }: Page): string {
  const content = html`<header>
<h1>${title}</h1>
${lead && html`<p class="lead">${lead}</p>`}
</header>
<main>
${summary}
${sections.length > 2 && contents(sections)}
${sections.map(renderSection)}
</main>
${footer && html`<footer>${footer}</footer>`}`;
  const { styles, scripts } = assets();
  const used = content.hasChart ? scripts : [];
  return String(html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy(styles, used)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${title}</title>
${styles.map((text) => html`<style>${trusted(text)}</style>\n`)}
</head>
<body>
${content}
${used.map((text) => html`${scriptElement(text)}\n`)}
</body>
</html>
`);
}

const renderSection = ({ id, title, content }: Section): Markup => html`
<section id="${id}" aria-labelledby="${id}-title">
<h2 id="${id}-title">${title}</h2>
${content}
</section>\n`;

const contents = (sections: readonly Section[]): Markup => html`
<nav aria-label="Contents"><ul>${sections.map(({ id, title }) => html`<li><a href="#${id}">${title}</a></li>`)}</ul></nav>\n`;

function policy(styles: readonly string[], scripts: readonly string[]): string {
  const allowed = (texts: readonly string[]) => (texts.length > 0 ? texts.map(sourceOf).join(' ') : "'none'");
  return [
    "default-src 'none'",
    'img-src data:',
    `style-src ${allowed(styles)}`,
    `script-src ${allowed(scripts)}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
}

/** By what a policy knows a text. */
const sourceOf = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

interface Assets {
  styles: string[];
  scripts: string[];
}

const require = createRequire(import.meta.url);
let read: Assets | undefined;

function assets(): Assets {
  read ??= {
    styles: [require.resolve('uplot/dist/uPlot.min.css'), codeFile('report/page/report.css')].map(readText),
    scripts: [require.resolve('uplot/dist/uPlot.iife.min.js'), codeFile('report/page/report.js')].map(readText),
  };
  return read;
}

/** As a browser has it when it takes the digest: a page knows no carriage returns. */
const readText = (file: string | URL): string => readFileSync(file, 'utf8').replaceAll('\r\n', '\n').trim();
