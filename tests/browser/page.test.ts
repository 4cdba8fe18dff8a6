import type { AddressInfo } from 'node:net';
import fastify, { type FastifyInstance } from 'fastify';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { importPicture } from '../../src/data/image.js';
import { conv2d, dense, maxPooling2d, type Predictor, sequential } from '../../src/index.js';
import { pageRoutes } from '../../src/server/page.js';
import { launchChromium, type Place, pixelsOf, strokeWithFinger, strokeWithMouse } from '../helpers/browser.js';
import { drawingModel } from '../helpers/strokes.js';
import { expectAccessible } from '../helpers/visit.js';

let browser: Browser;
let model: Predictor;
beforeAll(async () => {
  [browser, model] = await Promise.all([launchChromium(), drawingModel()]);
});
afterAll(() => browser?.close());

const ONE: Place[] = [
  [0.5, 0.15],
  [0.5, 0.85],
];
const DASH: Place[] = [
  [0.15, 0.5],
  [0.85, 0.5],
];
const LIT = 'rgb(255, 194, 71)';

const open: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
});

async function serve(first = model, port = 0) {
  let served = first;
  const server: FastifyInstance = fastify({ forceCloseConnections: true });
  server.register(pageRoutes, { model: () => served });
  await server.listen({ host: '127.0.0.1', port });
  const close = () => server.close();
  open.push({ close });
  const swap = (next: Predictor) => {
    served = next;
  };
  return { server, port: (server.server.address() as AddressInfo).port, swap, close };
}

/** Opens the page, and fails the test for anything that leaves the server or that the browser complains about. */
async function visit(port: number, options: BrowserContextOptions = {}, complaints: string[] = []): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const origin = `http://127.0.0.1:${port}`;
  const strays: string[] = [];
  await context.route('**/*', (route) => {
    if (new URL(route.request().url()).origin === origin) return route.continue();
    strays.push(route.request().url());
    return route.abort();
  });
  const page = await context.newPage();
  page.on('console', (message) => {
    // Reading canvases back is what these tests do, not the page.
    if (message.text().includes('willReadFrequently')) return;
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  open.push({
    close: async () => {
      await context.close();
      expect(strays).toEqual([]);
      expect(complaints).toEqual([]);
    },
  });
  await page.goto(origin);
  await page.locator('.layer').first().waitFor();
  return page;
}

const guess = (page: Page) => page.locator('#guess-label').textContent();
const expectGuess = (page: Page, label: string) => expect.poll(() => guess(page)).toBe(label);
/** Waits until the 28 x 28 pixels shown are those of the drawing as it is: all else is shown at once with them. */
async function settle(page: Page): Promise<void> {
  const differs = async () => {
    const luminance = await pixelsOf(page, '#drawing');
    const { pixels } = importPicture({ width: 280, height: 280, luminance, alpha: null }, 'the drawing');
    const seen = await pixelsOf(page, '#seen');
    return pixels.findIndex((value, place) => value !== seen[place]);
  };
  await expect.poll(differs).toBe(-1);
}
const percent = (share: number) => `${(share * 100).toFixed(1)} %`;

/** That everything shown belongs to the drawing as it is. */
async function expectConsistent(page: Page, shown: Predictor): Promise<void> {
  await settle(page);
  const seen = await pixelsOf(page, '#seen');
  const outputs = [...shown.predictSync(seen)];
  expect(await page.locator('#bars .value').allTextContents()).toEqual(outputs.map(percent));
  const hidden = [...shown.activations(seen)[0].values];
  const strongest = hidden.indexOf(Math.max(...hidden));
  const colours = await page
    .locator('.layer')
    .first()
    .locator('.switch')
    .evaluateAll((all) =>
      all.map((each) => (each as unknown as { style: { backgroundColor: string } }).style.backgroundColor),
    );
  expect(colours).toHaveLength(24);
  expect(colours[strongest]).toBe(LIT);
  const off = hidden.indexOf(0);
  expect(off).toBeGreaterThanOrEqual(0);
  expect(colours[off]).toBe('rgb(43, 45, 53)');
}

describe('drawing', () => {
  it('with the mouse: bars, image and layers follow, and Clear starts anew', async () => {
    const { port } = await serve();
    const page = await visit(port);
    expect(await guess(page)).toBe('–');
    expect(Math.max(...(await pixelsOf(page, '#seen')))).toBe(0);
    await strokeWithMouse(page, '#drawing', ONE);
    await expectGuess(page, '1');
    await expectConsistent(page, model);
    expect(await page.locator('#bars .best').innerText()).toMatch(/^1\s+\d/);
    // The middle of a stroke from top to bottom.
    const seen = await pixelsOf(page, '#seen');
    expect(seen[14 * 28 + 14]).toBeGreaterThan(200);
    expect(seen[14 * 28 + 4]).toBe(0);
    await page.getByRole('button', { name: 'Clear' }).click();
    await expectGuess(page, '–');
    await strokeWithMouse(page, '#drawing', DASH);
    await expectGuess(page, 'dash');
    await expectConsistent(page, model);
    expect(Math.max(...(await pixelsOf(page, '#drawing')))).toBe(255);
  });

  it('a dot is enough', async () => {
    const { port } = await serve();
    const page = await visit(port);
    await page.locator('#drawing').click();
    await expect.poll(() => guess(page)).not.toBe('–');
    await expectConsistent(page, model);
  });

  it('with a finger, on a phone', async () => {
    const { port } = await serve();
    const page = await visit(port, { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
    await strokeWithFinger(page, '#drawing', [
      [0.5, 0.15],
      [0.5, 0.4],
      [0.5, 0.6],
      [0.5, 0.85],
    ]);
    await expectGuess(page, '1');
    await expectConsistent(page, model);
    await page.locator('.layer').first().locator('.switch').nth(3).tap();
    await expect.poll(() => page.locator('#neuron-title').textContent()).toBe('Neuron 3, layer 0');
    await expect.poll(() => page.locator('#neuron-image').isVisible()).toBe(true);
  });

  it('with the keyboard alone', async () => {
    const { port } = await serve();
    const page = await visit(port);
    await page.keyboard.press('Tab');
    expect(await page.locator('#board').evaluate((board) => board.matches(':focus-visible'))).toBe(true);
    expect(await page.locator('#brush').isVisible()).toBe(true);
    for (let step = 0; step < 3; step++) await page.keyboard.press('Shift+ArrowUp');
    expect(await guess(page)).toBe('–');
    await page.keyboard.press('Space');
    for (let step = 0; step < 20; step++) await page.keyboard.press('ArrowDown');
    await expectGuess(page, '1');
    await expect
      .poll(() => page.locator('#pen').textContent())
      .toMatch(/^Brush down, 50 % from the left, 79 % from the top$/);
    await page.keyboard.press('Space');
    const before = await pixelsOf(page, '#drawing');
    await page.keyboard.press('ArrowLeft');
    expect(await pixelsOf(page, '#drawing')).toEqual(before);
    await expectConsistent(page, model);
    await page.keyboard.press('Delete');
    await expectGuess(page, '–');
    expect(Math.max(...(await pixelsOf(page, '#drawing')))).toBe(0);
  });

  it('asks for one answer at a time, and shows the one for the last stroke', async () => {
    const { port } = await serve();
    let inFlight = 0;
    let most = 0;
    let asked = 0;
    const page = await visit(port);
    await page.context().route('**/explain*', async (route) => {
      most = Math.max(most, ++inFlight);
      asked++;
      // Slower than strokes come.
      await new Promise((resolve) => setTimeout(resolve, 400));
      const reply = await route.fetch();
      inFlight--;
      await route.fulfill({ response: reply });
    });
    await strokeWithMouse(page, '#drawing', ONE);
    await page.getByRole('button', { name: 'Clear' }).click();
    for (const across of [0.3, 0.7])
      await strokeWithMouse(page, '#drawing', [
        [0.15, across],
        [0.85, across],
      ]);
    await page.getByRole('button', { name: 'Clear' }).click();
    await strokeWithMouse(page, '#drawing', DASH);
    await expectGuess(page, 'dash');
    await expectConsistent(page, model);
    expect(most).toBe(1);
    expect(asked).toBeGreaterThan(1);
    // What is still on its way shall not meet a page that is closed.
    await page.context().unrouteAll({ behavior: 'ignoreErrors' });
  });
});

describe('the layers', () => {
  it('a neuron that is pointed at shows its weights and its activation', async () => {
    const { port } = await serve();
    const page = await visit(port);
    await strokeWithMouse(page, '#drawing', ONE);
    await settle(page);
    const activations = model.activations(await pixelsOf(page, '#seen'));
    const switches = page.locator('.layer').first().locator('.switch');
    await switches.nth(7).hover();
    await expect.poll(() => page.locator('#neuron-image').isVisible()).toBe(true);
    expect(await page.locator('#neuron-title').textContent()).toBe('Neuron 7, layer 0');
    const { values } = model.neuronWeights(0, 7)!.pixels!;
    const largest = values.reduce((most, value) => (Math.abs(value) > Math.abs(most) ? value : most), 0);
    // Red is the channel that orange has most of and blue least.
    const red = await pixelsOf(page, '#neuron-image');
    expect(red).toHaveLength(784);
    expect(red[values.indexOf(largest)]).toBe(largest > 0 ? 255 : 74);
    const shown = String(Number(Math.abs(largest).toPrecision(3)));
    expect(await page.locator('#legend').innerText()).toMatch(new RegExp(`^−${shown}\\s+${shown}$`));
    const activation = Number(activations[0].values[7].toPrecision(3));
    expect(await page.locator('#neuron-activation').textContent()).toBe(`Activation ${activation}`);
    // Of a deeper layer, the pixels that matter through all layers, and its own weights.
    await page.locator('.layer').nth(1).locator('.switch').nth(2).hover();
    await expect.poll(() => page.locator('#neuron-before').isVisible()).toBe(true);
    expect(await page.locator('#neuron-text').textContent()).toMatch(/A rough picture/);
    expect(await pixelsOf(page, '#neuron-image')).toHaveLength(784);
    expect(await page.locator('#before-text').textContent()).toMatch(/one for each of the 24 neurons/);
  });

  it('can be gone through with the keyboard, each layer a single stop', async () => {
    const { port } = await serve();
    const page = await visit(port);
    const focused = () =>
      page
        .locator(':focus')
        .evaluate((element) => element.id || element.getAttribute('aria-label') || element.textContent);
    const stops: (string | null)[] = [];
    for (let stop = 0; stop < 6; stop++) {
      await page.keyboard.press('Tab');
      stops.push(await focused());
    }
    expect(stops).toEqual([
      'board',
      'clear',
      '0 dense24 neurons, relu',
      'Neuron 0',
      '1 dense3 neurons, softmax',
      'Neuron 0, 0',
    ]);
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowRight');
    expect(await focused()).toBe('Neuron 2');
    await expect.poll(() => page.locator('#neuron-title').textContent()).toBe('Neuron 2, layer 0');
    await expect.poll(() => page.locator('#neuron-image').isVisible()).toBe(true);
    await page.keyboard.press('End');
    expect(await focused()).toBe('Neuron 23');
    await page.keyboard.press('ArrowRight');
    expect(await focused()).toBe('Neuron 23');
    await page.keyboard.press('Home');
    expect(await focused()).toBe('Neuron 0');
    await page.setViewportSize({ width: 360, height: 800 });
    await page.keyboard.press('ArrowDown');
    const columns = Number((await focused())!.replace('Neuron ', ''));
    const [above, below] = await page
      .locator('.switch')
      .evaluateAll((all, place) => [0, place].map((index) => all[index].getBoundingClientRect().toJSON()), columns);
    expect(below.left).toBe(above.left);
    expect(below.top).toBeGreaterThan(above.top);
    // Coming back ends where one was.
    await page.keyboard.press('Tab');
    await page.keyboard.press('Shift+Tab');
    expect(await focused()).toBe(`Neuron ${columns}`);
  });

  it('of convolutions are images, with the filter as weights; the parts in between open on demand', async () => {
    const layers = [conv2d({ filters: 4, kernelSize: 5, activation: 'relu' }), maxPooling2d(), dense({ units: 600 })];
    const deep = await drawingModel(layers);
    const { port } = await serve(deep);
    const page = await visit(port);
    await strokeWithMouse(page, '#drawing', ONE);
    await expectGuess(page, '1');
    await settle(page);
    const [conv, pool] = [page.locator('.layer').nth(0), page.locator('.layer').nth(1)];
    expect(await conv.locator('.switch').first().isVisible()).toBe(false);
    await conv.locator('summary').click();
    await conv.locator('.switch').nth(2).hover();
    await expect.poll(() => page.locator('#neuron-title').textContent()).toBe('Filter 2, layer 0');
    await expect.poll(() => page.locator('#neuron-text').textContent()).toMatch(/window of 5 × 5/);
    expect(await pixelsOf(page, '#neuron-image')).toHaveLength(25);
    const [, pooled] = deep.activations(await pixelsOf(page, '#seen'));
    const scale = Math.max(...pooled.values);
    for (let filter = 0; filter < 4; filter++) {
      const image = [...(await pixelsOf(page, `.layer:nth-child(2) .switch:nth-child(${filter + 1}) canvas`))];
      const wanted = pooled.values.filter((_, index) => index % 4 === filter);
      image.forEach((red, place) => {
        const share = Math.min(1, wanted[place] / scale) ** 0.6;
        expect(red).toBe(Math.round(20 + (255 - 20) * share));
      });
    }
    expect(await pool.locator('.switch').count()).toBe(4);
  });

  it('of many neurons are one canvas with a cursor', async () => {
    const { port } = await serve(await drawingModel([dense({ units: 600 })]));
    const page = await visit(port);
    const canvas = page.locator('.lamps > canvas');
    await canvas.focus();
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowRight');
    await expect.poll(() => page.locator('#neuron-title').textContent()).toBe('Neuron 2, layer 0');
    await strokeWithMouse(page, '#drawing', ONE);
    await expectGuess(page, '1');
    await expect
      .poll(() => canvas.getAttribute('aria-label'))
      .toMatch(/^Layer 0, dense, 600 neurons\..*Neuron 2, activation −?\d/);
    await page.locator('#neuron-image').waitFor();
    await canvas.hover({ position: { x: 4, y: 13 } });
    await expect.poll(() => page.locator('#neuron-title').textContent()).toMatch(/^Neuron (?!2,)[1-9]\d+, layer 0$/);
  });
});

describe('for everybody', () => {
  it('has names and roles, and says the guess politely', async () => {
    const { port } = await serve();
    const page = await visit(port);
    await strokeWithMouse(page, '#drawing', ONE);
    await expect.poll(() => page.locator('#spoken').textContent()).toMatch(/^Looks like 1, \d+ percent$/);
    expect(await page.locator('#spoken').getAttribute('role')).toBe('status');
    await expect
      .poll(() => page.locator('.layer').first().locator('.switch').first().getAttribute('aria-label'))
      .toMatch(/^Neuron 0, activation [\d.]+$/);
    const tree = await page.locator('body').ariaSnapshot();
    for (const line of [
      'heading "Draw a digit" [level=1]',
      'application "Drawing area"',
      'button "Clear"',
      'img "The drawing in 28 by 28 pixels"',
      'region "What it thinks"',
      'heading "0 dense" [level=3]',
      'group "Layer 0, dense, 24 neurons, relu. Arrow keys move from one to the next."',
      'group "Layer 1, dense, 3 neurons, softmax. Arrow keys move from one to the next."',
    ]) {
      expect(tree).toContain(line);
    }
    expect(tree).toMatch(/listitem: 1 \d+\.\d %/);
    expect(tree).toMatch(/button "Neuron 2, dash, activation [\de.−-]+"/);
    const described = await page.locator('#board').getAttribute('aria-describedby');
    expect(await page.locator(`#${described}`).innerText()).toMatch(/Space puts it down.*Delete clears/s);
  });

  it.each(['light', 'dark'] as const)(
    'has contrast enough in the %s scheme, and keeps within the screen',
    async (colorScheme) => {
      const { port } = await serve();
      for (const width of [360, 1920]) {
        const page = await visit(port, { colorScheme, viewport: { width, height: 800 } });
        await strokeWithMouse(page, '#drawing', ONE);
        await expectGuess(page, '1');
        await page.locator('.layer').first().locator('.switch').nth(1).click();
        await expect.poll(() => page.locator('#neuron-image').isVisible()).toBe(true);
        await settle(page);
        const poor = await page.evaluate(findPoorContrast);
        expect(poor).toEqual([]);
        expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width);
      }
    },
  );

  it('has nothing that axe finds, in either scheme, wide and narrow', async () => {
    const { port } = await serve();
    const page = await visit(port, { bypassCSP: true });
    await strokeWithMouse(page, '#drawing', ONE);
    await expectGuess(page, '1');
    await page.locator('.layer').first().locator('.switch').nth(1).click();
    await settle(page);
    await expectAccessible(page, 'serve');
  });

  it('moves nothing for those who asked for that', async () => {
    const { port } = await serve();
    const duration = async (reducedMotion: 'reduce' | 'no-preference') => {
      const page = await visit(port, { reducedMotion });
      return page.evaluate("getComputedStyle(document.querySelector('.bar')).transitionDuration");
    };
    expect(await duration('no-preference')).toBe('0.1s');
    expect(await duration('reduce')).toBe('0s');
  });
});

/** Texts of less than 4.5 : 1 on what is behind them (WCAG 2.2, 1.4.3). Runs in the browser: as text, for want of its types. */
const findPoorContrast = `(() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = channels(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const poor = [];
  let looked = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest('.invitation, noscript')) continue;
    looked++;
    const [a, b] = [luminance(channels(getComputedStyle(element).color)), luminance(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push(walker.currentNode.data.trim() + ': ' + ratio.toFixed(2));
  }
  return looked > 30 ? poor : ['only ' + looked + ' texts'];
})()`;

describe('when things change', () => {
  it('says that another model is in service, and goes on with it', async () => {
    const { port, swap } = await serve();
    const page = await visit(port);
    await strokeWithMouse(page, '#drawing', ONE);
    await expectGuess(page, '1');
    await page.locator('.layer').first().locator('.switch').nth(1).hover();
    await expect.poll(() => page.locator('#neuron-image').isVisible()).toBe(true);
    swap(await drawingModel([dense({ units: 9, activation: 'tanh' }), dense({ units: 5, activation: 'relu' })], 2));
    await strokeWithMouse(page, '#drawing', ONE);
    await expect.poll(() => page.locator('.layer').count()).toBe(3);
    expect(await page.locator('#status').textContent()).toBe('Another model has come into service.');
    expect(await page.locator('.layer').first().locator('.switch').count()).toBe(9);
    expect(await page.locator('#neuron-title').textContent()).toBe('No neuron chosen');
    await expectGuess(page, '1');
    await expect.poll(() => page.locator('#status').textContent()).toBe('');
  });

  it('says so when the server is gone, and takes up again when it is back', async () => {
    const complaints: string[] = [];
    const { port, close } = await serve();
    const page = await visit(port, {}, complaints);
    await close();
    await strokeWithMouse(page, '#drawing', ONE);
    await expect.poll(() => page.locator('#status').textContent()).toBe('The server does not answer. Trying again…');
    expect(await guess(page)).toBe('–');
    await serve(model, port);
    await expect.poll(() => guess(page)).toBe('1');
    expect(await page.locator('#status').textContent()).toBe('');
    // What the browser says of requests that nobody answered, and nothing else.
    expect(complaints.filter((text) => !/ERR_CONNECTION_REFUSED/.test(text))).toEqual([]);
    complaints.length = 0;
  });

  it('shows a refusal of the server', async () => {
    const complaints: string[] = [];
    const { port } = await serve();
    const page = await visit(port, {}, complaints);
    await page
      .context()
      .route('**/explain*', (route) =>
        route.fulfill({ status: 413, json: { error: { code: 'x', message: 'Expected fewer bytes.' } } }),
      );
    await strokeWithMouse(page, '#drawing', ONE);
    await expect.poll(() => page.locator('#status').textContent()).toBe('Expected fewer bytes.');
    await page.context().unroute('**/explain*');
    await strokeWithMouse(page, '#drawing', ONE);
    await expectGuess(page, '1');
    await expect.poll(() => page.locator('#status').textContent()).toBe('');
    expect(complaints.every((text) => /413/.test(text))).toBe(true);
    complaints.length = 0;
  });

  it('says what a model takes that cannot look at drawings, and shows its layers', async () => {
    const numbers = sequential([dense({ units: 4, activation: 'tanh' }), dense({ units: 2 })], { inputShape: [3] });
    const { port } = await serve(numbers.snapshot());
    const page = await visit(port);
    expect(await page.locator('#undrawable-text').innerText()).toMatch(
      /takes samples of \[3\], not images of 28 × 28 pixels/,
    );
    expect(await page.locator('#board').isVisible()).toBe(false);
    expect(await page.locator('#bars').isVisible()).toBe(false);
    await page.locator('.layer').first().locator('.switch').nth(1).hover();
    await expect
      .poll(() => page.locator('#neuron-text').textContent())
      .toMatch(/How much each of the 3 numbers of the input/);
    expect(await page.locator('#neuron-image').isVisible()).toBe(true);
  });
});

describe('the policy', () => {
  it('is in force: nothing inline runs, and nothing of other hosts is loaded', async () => {
    const complaints: string[] = [];
    const { port } = await serve();
    const page = await visit(port, {}, complaints);
    const outcome = await page.evaluate(`(async () => {
      const violations = [];
      document.addEventListener('securitypolicyviolation', (event) => violations.push(event.effectiveDirective));
      const script = document.createElement('script');
      script.textContent = 'window.ran = true';
      document.body.append(script);
      const image = new Image();
      image.src = 'http://example.com/x.png';
      const fetched = await fetch('http://example.com/').then(() => true, () => false);
      await new Promise((resolve) => setTimeout(resolve, 200));
      return { ran: window.ran === true, fetched, violations: violations.sort() };
    })()`);
    expect(outcome).toEqual({ ran: false, fetched: false, violations: ['connect-src', 'img-src', 'script-src-elem'] });
    expect(complaints.length).toBeGreaterThan(2);
    complaints.length = 0;
  });
});
