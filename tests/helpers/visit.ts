import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import axe from 'axe-core';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { expect } from 'vitest';
import { decodePng } from '../../src/data/png.js';

/** A page of the disk in a browser. */
export interface Visit {
  page: Page;
  /** Ends the visit; fails for anything that the page asked for, and for what the browser complained about. */
  leave(): Promise<void>;
}

export async function visitFile(browser: Browser, file: string, options: BrowserContextOptions = {}): Promise<Visit> {
  const url = pathToFileURL(file).href;
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const asked: string[] = [];
  const complaints: string[] = [];
  const page = await context.newPage();
  page.on('request', (request) => {
    if (!request.url().startsWith('data:image/png;base64,')) asked.push(request.url());
  });
  page.on('console', (message) => {
    // Reading canvases back is what tests do, not the page.
    if (!message.text().includes('willReadFrequently')) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('dialog', (dialog) => {
    complaints.push(dialog.message());
    return dialog.dismiss();
  });
  await page.goto(url);
  return {
    page,
    leave: async () => {
      await context.close();
      expect(asked).toEqual([url]);
      expect(complaints).toEqual([]);
    },
  };
}

/** Where screenshots of whole pages go, to be looked at; none without it. */
const { SCREENSHOTS } = process.env;

/** Rows of long tables are alike, and looking at hundreds of them takes most of a minute. */
const ALIKE = '["tbody tr:nth-child(n + 24)"]';

/**
 * Looks at a page in either scheme, and at a narrow one with all that can be opened: axe finds nothing, and what is on the
 * screen is dark on light or light on dark. The page needs a context with `bypassCSP`, since its policy keeps axe out.
 *
 * @param name Of the screenshots.
 */
export async function expectAccessible(page: Page, name: string): Promise<void> {
  await page.addScriptTag({ content: axe.source });
  for (const [colorScheme, width] of [
    ['light', 1280],
    ['light', 400],
    ['dark', 1280],
  ] as const) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height: 900 });
    await page.evaluate(`for (const each of document.querySelectorAll('details')) each.open = ${width === 400}`);
    const { violations, passes } = await page.evaluate<axe.AxeResults>(`axe.run({ exclude: ${ALIKE} })`);
    const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
    expect(found, `${colorScheme}, ${width}`).toEqual([]);
    expect(passes.map(({ id }) => id)).toContain('color-contrast');
    await expectScheme(page, colorScheme);
    if (SCREENSHOTS !== undefined)
      await page.screenshot({ path: join(SCREENSHOTS, `${name}-${colorScheme}-${width}.png`), fullPage: true });
  }
}

/** Most of the screen is the scheme's ground, and not all of it. */
async function expectScheme(page: Page, colorScheme: 'light' | 'dark'): Promise<void> {
  const { luminance } = decodePng(await page.screenshot(), 'a screenshot');
  const light = luminance.reduce((count, value) => count + (value >= 128 ? 1 : 0), 0) / luminance.length;
  const ground = colorScheme === 'light' ? light : 1 - light;
  expect(ground, colorScheme).toBeGreaterThan(0.6);
  expect(ground, colorScheme).toBeLessThan(0.999);
}
