/** The site of `npm run docs`, from a folder of a server, as a reader clicks through it. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { JSHandle, Page } from 'puppeteer-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { serve } from '../../demo/test/serve.js';
import { start } from '../browsers.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
let server: Awaited<ReturnType<typeof serve>>;

beforeAll(async () => {
  if (!existsSync(`${root}/out/docs/index.html`)) execFileSync('npm', ['run', 'docs'], { cwd: root });
  server = await serve(`${root}/out/docs`, '/some/folder/');
}, 600_000);
afterAll(() => server?.close());

/** Waits for the page with this heading, which is in the document's title too. */
async function arrived(page: Page, heading: string): Promise<void> {
  await page.waitForFunction((text) => document.querySelector('h1')?.textContent?.trim().startsWith(text), {}, heading);
  await page.waitForFunction((text) => document.title.startsWith(text), {}, heading);
}

/** Clicks the first link of this text that can be seen. */
async function follow(page: Page, text: string, within = 'body'): Promise<void> {
  const link = await page.waitForFunction((within, text) =>
    [...document.querySelectorAll<HTMLElement>(`${within} a`)].find((a) => a.textContent.trim() === text && a.checkVisibility()), {}, within, text);
  await (link as JSHandle<HTMLElement>).evaluate((a) => a.click());
}

it.each(['chrome', 'firefox'] as const)('leads from the start to guides, results, reference, search and page, in %s', async (name) => {
  const browser = await start(name), page = await browser.newPage(), faults: string[] = [];
  try {
    page.on('pageerror', (error) => faults.push(String(error)));
    page.on('console', (message) => { if (['error', 'warn'].includes(message.type())) faults.push(message.text()); });
    page.on('response', (response) => { if (response.status() >= 400) faults.push(`${response.status()} ${response.url()}`); });
    await page.setViewport({ width: 1280, height: 900 });
    await page.goto(server.url);
    await arrived(page, 'batchnorm-wasm');
    await follow(page, 'Residuals, masks, freezing', 'aside');
    await arrived(page, 'Residuals, masks, freezing');
    await follow(page, 'Speed', 'aside');
    await arrived(page, 'Speed');
    await page.waitForFunction(() => document.querySelector<HTMLImageElement>('main img')!.naturalWidth > 0);
    await follow(page, 'all 42 cells with spread and errors');
    await arrived(page, 'Benchmark');
    await follow(page, 'Examples', 'aside');
    await arrived(page, 'Examples');
    await follow(page, 'xor', 'main');
    await arrived(page, 'XOR');
    await page.waitForFunction(() => document.body.innerText.includes('A network that learns XOR'));
    await follow(page, 'Reference', 'header');
    await arrived(page, 'Reference');
    await follow(page, 'batchnorm-wasm/sync', 'main');
    await arrived(page, 'batchnorm-wasm/sync');
    await page.click('.VPNavBarSearch button');
    await (await page.waitForSelector('#localsearch-input'))!.type('maskFromLengths');
    await page.waitForSelector('#localsearch-list a');
    await page.click('#localsearch-list a');
    await page.waitForFunction(() => !document.querySelector('#localsearch-list') && document.body.innerText.includes('maskFromLengths'));
    await follow(page, 'The page', 'header');
    await page.waitForFunction(() => location.pathname.endsWith('/folder/demo/index.html') && document.title.startsWith('Batch normalization, live'));
    expect(faults).toEqual([]);
  } finally {
    await browser.close();
  }
});
