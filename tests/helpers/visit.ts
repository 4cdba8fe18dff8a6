import { pathToFileURL } from 'node:url';
import axe from 'axe-core';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { expect } from 'vitest';

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

/**
 * What axe finds in either scheme, and on a narrow page with all that can be opened: nothing. The page needs a context with
 * `bypassCSP`, since its policy keeps axe out.
 */
export async function expectAccessible(page: Page): Promise<void> {
  await page.addScriptTag({ content: axe.source });
  for (const [colorScheme, width] of [
    ['light', 1280],
    ['light', 400],
    ['dark', 1280],
  ] as const) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height: 900 });
    await page.evaluate(`for (const each of document.querySelectorAll('details')) each.open = ${width === 400}`);
    const { violations, passes } = await page.evaluate<axe.AxeResults>('axe.run()');
    const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
    expect(found, `${colorScheme}, ${width}`).toEqual([]);
    expect(passes.map(({ id }) => id)).toContain('color-contrast');
  }
}
