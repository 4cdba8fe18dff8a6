import { existsSync } from 'node:fs';
import { type Browser, type CDPSession, chromium, type Page } from 'playwright-core';

/** Debian's; another one by the environment variable CHROMIUM. */
const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** Starts the browser. Throws where there is none: a suite must not shrink silently. */
export async function launchChromium(): Promise<Browser> {
  if (!existsSync(EXECUTABLE)) {
    throw new Error(
      `Expected chromium at ${EXECUTABLE}, found nothing. Install it (Debian: apt-get install chromium), or name another ` +
        'one in the environment variable CHROMIUM.',
    );
  }
  // The sandbox cannot be had as root, as in containers.
  return chromium.launch({ executablePath: EXECUTABLE, args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] });
}

/** A place in an element: shares of its width and height. */
export type Place = readonly [across: number, down: number];

async function placesIn(page: Page, selector: string, places: readonly Place[]) {
  await page.locator(selector).scrollIntoViewIfNeeded();
  const box = await page.locator(selector).boundingBox();
  if (!box) throw new Error(`Expected ${selector} on the page.`);
  return places.map(([across, down]) => ({ x: box.x + across * box.width, y: box.y + down * box.height }));
}

/** Draws with the left button of the mouse held. */
export async function strokeWithMouse(page: Page, selector: string, places: readonly Place[]): Promise<void> {
  const [first, ...rest] = await placesIn(page, selector, places);
  await page.mouse.move(first.x, first.y);
  await page.mouse.down();
  for (const { x, y } of rest) await page.mouse.move(x, y, { steps: 6 });
  await page.mouse.up();
}

/** Draws with a finger. The page needs a context with `hasTouch`. */
export async function strokeWithFinger(page: Page, selector: string, places: readonly Place[]): Promise<void> {
  const session: CDPSession = await page.context().newCDPSession(page);
  const [first, ...rest] = await placesIn(page, selector, places);
  await session.send('Input.dispatchTouchEvent', { type: 'touchStart', touchPoints: [first] });
  for (const place of rest) await session.send('Input.dispatchTouchEvent', { type: 'touchMove', touchPoints: [place] });
  await session.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] });
  await session.detach();
}

/** The red channel of a canvas, row by row: of grey images, the image. */
export async function pixelsOf(page: Page, selector: string): Promise<Uint8Array> {
  const values = await page.locator(selector).evaluate((element) => {
    // The types of the browser are not those that tests are checked with.
    const canvas = element as unknown as {
      width: number;
      height: number;
      getContext(kind: '2d'): { getImageData(x: number, y: number, w: number, h: number): { data: Uint8Array } };
    };
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    return [...data].filter((_, index) => index % 4 === 0);
  });
  return Uint8Array.from(values);
}
