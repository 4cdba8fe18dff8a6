import { dataTable, scrolling } from './elements.js';
import { html, type Markup } from './html.js';
import { type ClassNames, classTitle, type Measures } from './measures.js';
import { formatNumber } from './numbers.js';

/** As many as the page's style has for right and for wrong answers. */
const SHADES = 5;

/** True classes in rows, answers in columns; shaded, and every cell has its count. */
export function confusionTable({ confusion }: Pick<Measures, 'confusion'>, names: ClassNames): Markup {
  const most = Math.max(1, ...confusion.flatMap((row, label) => row.filter((_, answer) => answer !== label)));
  const cell = (count: number, label: number, answer: number, images: number) => {
    const right = label === answer;
    // Few mistakes beside one frequent one are still to be told from none.
    const share = right ? count / Math.max(1, images) : Math.sqrt(count / most);
    const shade = count === 0 ? 'none' : `${right ? 'right' : 'wrong'}-${Math.ceil(SHADES * share)}`;
    return html`<td class="${shade}">${formatNumber(count, 'count')}</td>`;
  };
  const label = 'How many images of each class got which answer';
  const table = html`<table class="confusion">
<caption>${label}. A row for each true class; right answers, on the diagonal, are blue, mistakes orange.</caption>
<thead>
<tr><th rowspan="2" scope="col" class="name">Class</th><th colspan="${confusion.length}" scope="colgroup">Answer</th></tr>
<tr>${confusion.map((_, answer) => html`<th scope="col">${answer}</th>`)}</tr>
</thead>
<tbody>${confusion.map((row, label) => {
    const images = row.reduce((sum, count) => sum + count, 0);
    const cells = row.map((count, answer) => cell(count, label, answer, images));
    return html`<tr><th scope="row" class="name">${classTitle(label, names)}</th>${cells}</tr>\n`;
  })}</tbody>
</table>`;
  return scrolling(label, table);
}

/** Precision, recall and F1 of each class, and their averages. */
export function classTable({ perClass, averages }: Measures, names: ClassNames): Markup {
  const percent = (value: number) => formatNumber(value, 'percent');
  const titles = ['Images', 'Right', 'Precision', 'Recall', 'F1'];
  return dataTable({
    caption:
      'Precision: the share of right ones among the answers of a class. Recall: of its images, how many got the answer.',
    columns: [{ title: 'Class' }, ...titles.map((title) => ({ title, align: 'number' as const }))],
    rows: perClass.map(({ label, count, correct, precision, recall, f1 }) => [
      classTitle(label, names),
      formatNumber(count, 'count'),
      formatNumber(correct, 'count'),
      percent(precision),
      count > 0 ? percent(recall) : '–',
      percent(f1),
    ]),
    totals: Object.entries(averages).map(([name, { precision, recall, f1 }]) => [
      `${name} average`,
      '',
      '',
      percent(precision),
      percent(recall),
      percent(f1),
    ]),
  });
}
