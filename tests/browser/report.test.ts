import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { launchChromium } from '../helpers/browser.js';
import { writeDataset } from '../helpers/cli-idx.js';
import { eventsOf, makeWorkspace, runCli } from '../helpers/cli-run.js';
import { expectAccessible, visitFile } from '../helpers/visit.js';

const workspace = makeWorkspace();
const cwd = workspace.folder;
/** A path that would run a script where it came into the page as it is. */
const MODEL = '<img src=x onerror=alert(1)>"model\'.safetensors';
const pageOf = (name: string) => join(cwd, name);

let browser: Browser;
let training: ReturnType<typeof eventsOf>;
let evaluation: ReturnType<typeof eventsOf>[number];
beforeAll(async () => {
  const data = ['--data-dir', writeDataset(join(cwd, 'data')), '--dataset', 'fashion-mnist', '--json'];
  const poor = ['--hidden', '16', '--learning-rate', '0.0006', '--epochs', '3', '--validation-split', '0.25'];
  const trained = await runCli(['train', ...data, ...poor, '--out', MODEL, '--report', 'training.html'], { cwd });
  const measured = await runCli(['evaluate', MODEL, ...data, '--report', 'evaluation.html'], { cwd });
  training = eventsOf(trained);
  evaluation = eventsOf(measured).at(-1)!;
  browser = await launchChromium();
});
afterAll(async () => {
  await browser?.close();
  workspace.remove();
});

const open: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
});

async function visit(name: string, options: BrowserContextOptions = {}): Promise<Page> {
  const { page, leave } = await visitFile(browser, pageOf(name), options);
  open.push({ close: leave });
  return page;
}

/** The colours that a chart's canvas has, as #rrggbb, with how many pixels have them. */
async function colorsOf(page: Page, title: string): Promise<Map<string, number>> {
  const counts = await page.locator('figure.chart', { hasText: title }).first().locator('canvas').evaluate(countColors);
  return new Map(counts);
}

/** Runs in the browser, whose types are not those that tests are checked with. */
// biome-ignore lint/suspicious/noExplicitAny: an HTMLCanvasElement.
function countColors(canvas: any): [string, number][] {
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  const counts = new Map<string, number>();
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 3] < 255) continue;
    const color = `#${[0, 1, 2].map((channel) => data[i + channel].toString(16).padStart(2, '0')).join('')}`;
    counts.set(color, (counts.get(color) ?? 0) + 1);
  }
  return [...counts];
}

const BLUE = { light: '#0b57c4', dark: '#86b8ff' };
const ORANGE = { light: '#b04a00', dark: '#ffb066' };

/** Waits until both lines of the loss are drawn in a scheme's colours and in no other's. */
async function expectDrawn(page: Page, scheme: 'light' | 'dark'): Promise<void> {
  const other = scheme === 'light' ? 'dark' : 'light';
  await expect
    .poll(async () => {
      const colors = await colorsOf(page, 'Loss');
      const drawn = (color: string) => (colors.get(color) ?? 0) > 20;
      return [BLUE[scheme], ORANGE[scheme], BLUE[other], ORANGE[other]].map(drawn);
    })
    .toEqual([true, true, false, false]);
}

const percent = (fraction: number) => `${(fraction * 100).toFixed(2)} %`;
const textsOf = (page: Page, selector: string) => page.locator(selector).allInnerTexts();

describe('a report in the browser', () => {
  it('draws charts, and its tables have the numbers of the run', async () => {
    const page = await visit('training.html');
    await expectDrawn(page, 'light');
    const epochs = training.filter(({ event }) => event === 'epoch');
    const loss = page.locator('figure.chart', { hasText: 'Loss' }).first();
    expect(await loss.locator('table').first().isVisible()).toBe(true); // uPlot's legend
    expect(await loss.locator('details table').isVisible()).toBe(false);
    await loss.locator('summary').click();
    expect(await loss.locator('details tbody tr').allInnerTexts()).toEqual(
      epochs.map((each) => [each.epoch, each.loss.toFixed(4), each.validationLoss.toFixed(4)].join('\t')),
    );
    const legend = async () => (await textsOf(page, '.u-legend'))[0].replace(/\s/g, '');
    expect(await legend()).toContain(`Epoch3Training${epochs[2].loss.toFixed(4)}`);
    await loss.locator('.u-over').hover({ position: { x: 2, y: 50 } });
    await expect.poll(legend).toContain(`Epoch1Training${epochs[0].loss.toFixed(4)}`);
    const data = JSON.parse((await loss.locator('.chart-data').textContent()) ?? '');
    expect(data.series[1].values).toEqual(epochs.map(({ validationLoss }) => validationLoss));
    expect(await page.title()).toBe('Training of 784-16-10 on fashion-mnist');
    expect(await textsOf(page, '.headline dd')).toContain(percent(training.at(-1)!.testAccuracy));
    expect(await textsOf(page, '.hash')).toEqual([training.at(-1)!.weightsSha256]);
    expect(await page.getByText(MODEL, { exact: true }).isVisible()).toBe(true);
  });

  it('of an evaluation has its confusion matrix, its classes and the mistakes', async () => {
    const page = await visit('evaluation.html');
    const rows = await page.locator('.confusion tbody tr').allInnerTexts();
    expect(rows.map((row) => row.split('\t').slice(1).map(Number))).toEqual(evaluation.confusion);
    expect(rows[9]).toMatch(/^9 Ankle boot\t/);
    const classes = await page.locator('#classes tbody.rows tr').allInnerTexts();
    expect(classes.map((row) => row.split('\t').slice(3))).toEqual(
      // biome-ignore lint/suspicious/noExplicitAny: of an event
      evaluation.perClass.map((each: any) => [each.precision, each.recall, each.f1].map(percent)),
    );
    const pictures = page.locator('.mistakes img');
    expect(await pictures.count()).toBeGreaterThan(3);
    const loaded = await page
      .locator('img')
      // biome-ignore lint/suspicious/noExplicitAny: HTMLImageElements.
      .evaluateAll((all: any[]) => all.every(({ complete, naturalWidth }) => complete && naturalWidth === 28));
    expect(loaded).toBe(true);
  });

  it('follows the scheme and the width', async () => {
    const page = await visit('training.html', { colorScheme: 'dark' });
    await expectDrawn(page, 'dark');
    await page.emulateMedia({ colorScheme: 'light' });
    await expectDrawn(page, 'light');
    await page.emulateMedia({ colorScheme: 'dark' });
    await expectDrawn(page, 'dark');
    const widths = async () => {
      const canvas = await page.locator('canvas').first().boundingBox();
      return [canvas!.width, await page.evaluate('document.documentElement.scrollWidth')] as [number, number];
    };
    const [before] = await widths();
    await page.setViewportSize({ width: 400, height: 800 });
    await expect.poll(async () => (await widths())[0]).toBeLessThan(before - 50);
    expect((await widths())[1]).toBe(400);
    await expectDrawn(page, 'dark');
    await page.setViewportSize({ width: 1280, height: 900 });
    await expect.poll(async () => (await widths())[0]).toBe(before);
    await expectDrawn(page, 'dark');
  });

  it('prints in light colours, and is dark again afterwards', async () => {
    const page = await visit('training.html', { colorScheme: 'dark' });
    await expectDrawn(page, 'dark');
    // Behind the page's own listener, which draws for paper.
    await page.evaluate(`addEventListener('beforeprint', () => {
      window.printed = (${countColors})(document.querySelector('canvas'));
    })`);
    const pdf = await page.pdf({ format: 'A4' });
    expect(pdf.subarray(0, 5).toString()).toBe('%PDF-');
    const printed = new Map(await page.evaluate<[string, number][]>('window.printed'));
    expect(printed.get(BLUE.light)).toBeGreaterThan(20);
    expect(printed.has(BLUE.dark)).toBe(false);
    await expectDrawn(page, 'dark');
  });

  it('shows its tables without JavaScript', async () => {
    const page = await visit('training.html', { javaScriptEnabled: false });
    const charts = page.locator('figure.chart');
    expect(await charts.count()).toBe(5);
    for (const table of await charts.locator('table').all()) expect(await table.isVisible()).toBe(true);
    expect(await page.locator('.plot').first().isVisible()).toBe(false);
    expect(await charts.first().locator('tbody tr').count()).toBe(3);
  });

  it.each(['training.html', 'evaluation.html'])(
    '%s: axe finds nothing, in either scheme, and narrow with open tables',
    async (name) => {
      await expectAccessible(await visit(name, { bypassCSP: true }), name.replace('.html', ''));
    },
  );

  it('runs nothing that was put into it afterwards', async () => {
    const html = readFileSync(pageOf('training.html'), 'utf8');
    const added = '<script>document.title = "run"</script><style>h1 { display: none }</style></main>';
    writeFileSync(pageOf('changed.html'), html.replace('</main>', added));
    const context = await browser.newContext();
    open.push(context);
    const page = await context.newPage();
    const complaints: string[] = [];
    page.on('console', (message) => complaints.push(message.text()));
    await page.goto(pathToFileURL(pageOf('changed.html')).href);
    expect(await page.title()).toBe('Training of 784-16-10 on fashion-mnist');
    expect(await page.locator('h1').isVisible()).toBe(true);
    expect(complaints.filter((text) => text.includes('Content Security Policy'))).toHaveLength(2);
  });
});
