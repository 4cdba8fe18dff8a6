import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { chart } from '../../src/report/charts.js';
import { dataTable, picture } from '../../src/report/elements.js';
import { html, jsonBlock, trusted } from '../../src/report/html.js';
import { formatNumber } from '../../src/report/numbers.js';
import { renderPage } from '../../src/report/page.js';

const HOSTILE = `</script><img src=x onerror="alert('1')">&amp;`;
const HARMLESS = '&lt;/script&gt;&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt;&amp;amp;';

const someChart = (label = 'Loss') =>
  chart({
    title: label,
    description: `${label} falls.`,
    x: { label: 'Epoch', format: 'count', values: [1, 2, 3] },
    y: { label, format: 'loss' },
    series: [
      { label: 'Training', values: [0.5, 0.25, null] },
      { label: HOSTILE, values: [null, 1 / 3, null] },
      { label: 'Perfect', values: [1, 1, 1], draw: 'reference' },
    ],
  });

describe('html', () => {
  it('escapes whatever is put into it, once', () => {
    expect(String(html`<b title="${HOSTILE}">${HOSTILE}</b>`)).toBe(`<b title="${HARMLESS}">${HARMLESS}</b>`);
    expect(String(html`<p>${html`<i>${HOSTILE}</i>`}</p>`)).toBe(`<p><i>${HARMLESS}</i></p>`);
  });

  it('joins lists, writes numbers, zero too, and leaves out what is not there', () => {
    const items = ['<', html`<hr>`, [1, [0]]];
    expect(String(html`${items}|${null}${undefined}${false}|${0}`)).toBe('&lt;<hr>10||0');
    expect(String(html`${trusted('<br>')}`)).toBe('<br>');
  });

  it('puts data into a block that no text can end', () => {
    const value = { text: `${HOSTILE}<!--<script>`, numbers: [1 / 3, null] };
    const block = String(jsonBlock('data', value));
    const inside = block.slice(block.indexOf('>') + 1, block.lastIndexOf('</script>'));
    expect(inside).not.toContain('<');
    expect(JSON.parse(inside)).toEqual(value);
  });
});

describe('tables', () => {
  it('have a caption, headers with a scope, and a header in each row', () => {
    const table = String(
      dataTable({
        caption: HOSTILE,
        columns: [{ title: 'class' }, { title: 'images', align: 'number' }],
        rows: [[HOSTILE, 7]],
        totals: [['all', 7]],
      }),
    );
    expect(table).toContain(`<caption>${HARMLESS}</caption>`);
    expect(table).toContain('<th scope="col" class="text">class</th><th scope="col" class="number">images</th>');
    expect(table).toContain(`<th scope="row" class="text">${HARMLESS}</th><td class="number">7</td>`);
    expect(table.match(/<tbody/g)).toHaveLength(2);
    expect(table).not.toContain(HOSTILE);
  });

  it('of a chart have its numbers but for references and places without any', () => {
    const text = String(someChart());
    const rows = [...text.matchAll(/<tr><th scope="row"[^>]*>(.*?)<\/th>(.*?)<\/tr>/g)];
    expect(rows.map(([, place, cells]) => [place, ...cells.matchAll(/>([^<]+)</g)].map(String))).toEqual([
      ['1', '>0.5000<,0.5000', '>–<,–'],
      ['2', '>0.2500<,0.2500', '>0.3333<,0.3333'],
    ]);
    expect(text).not.toContain('>Perfect<');
  });
});

describe('numbers', () => {
  it('are written as their kind is, and as a dash where there is none', () => {
    expect(formatNumber(0.97941, 'percent')).toBe('97.94 %');
    expect(formatNumber(12345.4, 'count')).toBe('12,345');
    expect(formatNumber(0.06174, 'loss')).toBe('0.0617');
    expect(formatNumber(3.2e-7, 'plain')).toBe('3.2e-7');
    for (const none of [null, undefined, Number.NaN, Infinity]) expect(formatNumber(none, 'percent')).toBe('–');
  });
});

describe('pages', () => {
  const page = (content: Parameters<typeof renderPage>[0]['sections'][number]['content']) =>
    renderPage({ title: HOSTILE, lead: HOSTILE, sections: [{ id: 'one', title: HOSTILE, content }], footer: HOSTILE });
  /** As a browser takes digests: of the text between the tags. */
  const digests = (text: string, tag: 'style' | 'script') =>
    [...text.matchAll(new RegExp(`<${tag}>([^]*?)</${tag}>`, 'g'))].map(
      ([, inside]) => `'sha256-${createHash('sha256').update(inside).digest('base64')}'`,
    );
  const policyOf = (text: string) =>
    Object.fromEntries(
      /http-equiv="Content-Security-Policy" content="([^"]*)"/
        .exec(text)![1]
        .replaceAll('&#39;', "'")
        .split('; ')
        .map((rule) => [rule.slice(0, rule.indexOf(' ')), rule.slice(rule.indexOf(' ') + 1)]),
    );

  it('allow their own style and scripts, and nothing else', () => {
    const text = page([someChart(), picture({ uri: 'data:image/png;base64,AA==', alt: '', width: 1, height: 1 })]);
    const policy = policyOf(text);
    expect(digests(text, 'script')).toHaveLength(2);
    expect(policy).toEqual({
      'default-src': "'none'",
      'img-src': 'data:',
      'style-src': digests(text, 'style').join(' '),
      'script-src': digests(text, 'script').join(' '),
      'base-uri': "'none'",
      'form-action': "'none'",
    });
    expect(text).not.toMatch(/ style="| on[a-z]+="|\r/);
    expect(text.indexOf('Content-Security-Policy')).toBeLessThan(text.indexOf('<style>'));
  });

  it('have no script without a chart', () => {
    const text = page('nothing');
    expect(text).not.toContain('<script');
    expect(policyOf(text)['script-src']).toBe("'none'");
  });

  it('have the script where a chart is deep in what they show', () => {
    expect(digests(page([html`<div>${[[html`<p>${someChart()}</p>`]]}</div>`]), 'script')).toHaveLength(2);
  });

  it('show hostile text as text everywhere', () => {
    expect(page(someChart(HOSTILE))).not.toContain('<img');
  });

  it('list their sections when there are more than two', () => {
    const section = (id: string) => ({ id, title: id, content: null });
    const list = (ids: string[]) => renderPage({ title: 'x', sections: ids.map(section) });
    expect(list(['a', 'b'])).not.toContain('<nav');
    expect(list(['a', 'b', 'c'])).toContain('<li><a href="#c">c</a></li>');
  });
});
