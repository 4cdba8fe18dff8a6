import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decode, encode } from 'fast-png';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Explanation } from '../../src/index.js';
import { greyPicture, signedPicture } from '../../src/pictures/picture.js';
import { launchChromium } from '../helpers/browser.js';
import { blockImage, writeDataset } from '../helpers/cli-idx.js';
import { eventsOf, makeWorkspace, runCli } from '../helpers/cli-run.js';
import { expectAccessible, type Visit, visitFile } from '../helpers/visit.js';

const workspace = makeWorkspace();
const cwd = workspace.folder;
/** A name that would run a script where it came into the page as it is. */
const IMAGE = '<img src=x onerror=alert(1)>"\'.png';

let browser: Browser;
const events = new Map<string, Explanation>();
beforeAll(async () => {
  const data = writeDataset(join(cwd, 'data'));
  writeFileSync(join(cwd, IMAGE), encode({ width: 28, height: 28, data: blockImage(4), channels: 1, depth: 8 }));
  const networks = {
    dense: ['--hidden', '16', '--epochs', '2', '--dataset', 'fashion-mnist'],
    cnn: ['--recipe', 'cnn'],
  };
  for (const [name, flags] of Object.entries(networks)) {
    const model = `${name}.safetensors`;
    await runCli(['train', '--data-dir', data, ...flags, '--out', model], { cwd });
    const words = ['explain', model, IMAGE, '--label', '2', '--html', `${name}.html`, '--json'];
    events.set(name, eventsOf(await runCli(words, { cwd }))[0] as unknown as Explanation);
  }
  browser = await launchChromium();
});
afterAll(async () => {
  await browser?.close();
  workspace.remove();
});

const open: Visit[] = [];
afterEach(async () => {
  for (const visit of open.splice(0)) await visit.leave();
});

async function visit(name: string, options?: BrowserContextOptions): Promise<Page> {
  const opened = await visitFile(browser, join(cwd, `${name}.html`), options);
  open.push(opened);
  return opened.page;
}

/** The cells of the table with these words in its caption, the row's header among them. */
async function cellsOf(page: Page, caption: string): Promise<string[][]> {
  const rows = await page.locator('table', { hasText: caption }).locator('tbody tr').allInnerTexts();
  return rows.map((row) => row.split('\t'));
}

/** The pixels of a picture on the page. */
async function pictureOf(page: Page, alt: string): Promise<Uint8Array> {
  const uri = await page.getByAltText(alt, { exact: true }).getAttribute('src');
  return Uint8Array.from(decode(Buffer.from(uri!.split(',')[1], 'base64')).data);
}

const percent = (fraction: number) => `${(fraction * 100).toFixed(2)} %`;

describe('the page of explain', () => {
  it.each(['dense', 'cnn'])('of a %s network has the numbers of the event', async (name) => {
    const page = await visit(name);
    const event = events.get(name)!;
    const { classes, answer, step, layers } = event;
    expect(await page.title()).toBe(await page.locator('h1').innerText());
    expect(await page.title()).toContain(`Why ${IMAGE} is ${classes[answer].name} to `);
    expect((await cellsOf(page, 'Every class with its logit')).map(([title, , p]) => [title, p])).toEqual(
      classes.map((each) => [each.name, percent(each.probability)]),
    );
    expect((await cellsOf(page, 'before and after the step')).map(([, , p]) => p)).toEqual(
      step.probabilitiesAfter.map(percent),
    );
    const moved = step.parameters.flatMap(({ largest }) => largest).filter((each) => each.gradient !== 0);
    expect((await cellsOf(page, 'largest gradients')).map(([, , before, after]) => [before, after])).toEqual(
      moved.map(({ before, after }) => [before.toFixed(7), after.toFixed(7)]),
    );
    const strongest = await cellsOf(page, 'The strongest ');
    const summing = layers.slice(0, -1).filter(({ neurons }) => neurons[0]?.weightedSum !== undefined);
    expect(strongest.map(([unit]) => unit)).toEqual(summing.flatMap((each) => each.neurons.map((n) => `${n.unit}`)));
    const together = (await cellsOf(page, 'What the logits are made of')).at(-1)!;
    expect(Number(together[1])).toBeCloseTo(event.contributions.answer.logit, 1);
    expect(Number(together[2])).toBeCloseTo(event.contributions.lead.logit, 1);
  });

  it('shows the image and what its pixels did', async () => {
    const page = await visit('dense');
    const { contributions, classes, answer, layers } = events.get('dense')!;
    const { pixels } = greyPicture(blockImage(4), 28, 28);
    expect(await pictureOf(page, 'The image, 28 by 28 pixels')).toEqual(pixels);
    const of = signedPicture(contributions.answer.pixels, 28, 28);
    expect(await pictureOf(page, `What each pixel did for the logit of ${classes[answer].name}`)).toEqual(of.pixels);
    const [neuron] = layers[0].neurons;
    const seen = signedPicture(neuron.pixels!, 28, 28);
    expect(await pictureOf(page, `Weight times pixel of neuron ${neuron.unit}`)).toEqual(seen.pixels);
    expect(await page.locator('img').count()).toBe(3 + 5);
  });

  it('needs no script, fits a narrow page and prints', async () => {
    const page = await visit('dense', { javaScriptEnabled: false });
    expect(await page.locator('script').count()).toBe(0);
    await page.setViewportSize({ width: 400, height: 800 });
    const box = await page.locator('main').boundingBox();
    expect(box!.x + box!.width).toBeLessThanOrEqual(400);
    const last = await page.locator('section').last().boundingBox();
    expect(last!.width).toBeLessThanOrEqual(400);
    expect((await page.pdf({ format: 'A4' })).subarray(0, 5).toString()).toBe('%PDF-');
  });

  it.each(['dense', 'cnn'])('of a %s network: axe finds nothing, in either scheme, wide and narrow', async (name) => {
    const page = await visit(name, { bypassCSP: true });
    await expectAccessible(page, `explain-${name}`);
  });
});
