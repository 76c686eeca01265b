/** The page as visitors see it: built, served from a folder of a server, and used in Chromium, light and dark. */
import { fileURLToPath } from 'node:url';
import type { Browser } from 'puppeteer-core';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { executableOf, start } from '../../test/browsers.js';
import { SCENARIOS } from '../network/settings.js';
import { batch } from './page/batch.js';
import { claims } from './page/claims.js';
import { finetune } from './page/finetune.js';
import { layers } from './page/layers.js';
import { speed } from './page/speed.js';
import { training } from './page/training.js';
import { PATIENCE, STEP, type View, Visitor } from './page/visitor.js';
import { whole } from './page/whole.js';
import { type Server, serve } from './serve.js';

const OUT = fileURLToPath(new URL('../../out/demo-test', import.meta.url));
/** Milliseconds from the request to the first step of training, of a processor that has nothing else to do. */
const FIRST_STEP = 1_000;
/** Other programs may occupy the processor during some of them. */
const ATTEMPTS = 8;
/** Bytes, compressed, until the page trains. */
const WEIGHT = 500_000;

const DESKTOP: View = { scheme: 'light', width: 1280, height: 900 };
const PHONE: View = { scheme: 'dark', width: 390, height: 844 };

const chromium = executableOf('chrome');
if (!chromium) console.warn('The page’s tests are skipped: there is no Chromium (Debian: apt-get install chromium).');

describe.skipIf(!chromium)('the page', { timeout: 2 * PATIENCE }, () => {
  let browser: Browser;
  let server: Server;

  beforeAll(async () => {
    const configFile = fileURLToPath(new URL('../vite.config.ts', import.meta.url));
    await build({ configFile, logLevel: 'error', build: { outDir: OUT } });
    server = await serve(OUT, '/some/folder/');
    browser = await start('chrome');
  }, 2 * PATIENCE);

  afterAll(async () => {
    await browser?.close();
    server?.close();
  });

  const open = (query = '', view = DESKTOP) => Visitor.open(browser, server.url + query, view);

  it('is light, and takes its first step of training within a second', async () => {
    const times: number[] = [];
    for (let attempt = 0; attempt < ATTEMPTS && !times.some((time) => time < FIRST_STEP); attempt++) {
      server.sent.clear();
      const { page } = await open('', PHONE);
      await page.waitForFunction(`${STEP} > 0`, { polling: 10 });
      times.push((await page.evaluate(() => performance.now())) * processorShare());
      await page.close();
    }
    expect([...server.sent.values()].reduce((sum, bytes) => sum + bytes)).toBeLessThan(WEIGHT);
    expect([...server.sent.keys()].filter((file) => file.endsWith('.svg') || /tfjs|mobilenet|finetune/.test(file))).toEqual([]);
    expect(Math.min(...times)).toBeLessThan(FIRST_STEP);
  });

  it('does not start by itself for visitors who prefer reduced motion', async () => {
    const visitor = await open();
    await visitor.page.emulateMediaFeatures([{ name: 'prefers-reduced-motion', value: 'reduce' }]);
    await visitor.page.reload();
    await visitor.until(`document.getElementById('verdict').textContent.startsWith('Both start')`);
    await visitor.rest(500);
    expect(await visitor.text('#step')).toBe('0');
    await visitor.click('#train');
    await visitor.until(`${STEP} > 0`);
    await visitor.page.close();
  });

  it('shows what the sender of a link saw', async () => {
    const visitor = await open('?scenario=wide&seed=7');
    expect(await visitor.attribute('[data-scenario="2"]', 'aria-pressed')).toBe('true');
    expect(await visitor.text('#spread-value')).toBe(String(SCENARIOS[2]!.settings.spread));
    await visitor.page.goto(`${server.url}?activation=relu&depth=2&learningRate=0.05&batchSize=128&spread=1e9`);
    expect(await visitor.page.$eval('[value="relu"]', (radio) => (radio as HTMLInputElement).checked)).toBe(true);
    const shown = await visitor.texts('#depth-value, #learningRate-value, #spread-value, #batchSize-value');
    // A spread that the slider does not have is that of the first scenario.
    expect(shown).toEqual(['2', '0.05', '0.1', '128']);
    await visitor.page.close();
  });

  it('copies the address of what it shows', async () => {
    const visitor = await open('?scenario=fast#speed');
    await browser.defaultBrowserContext().overridePermissions(new URL(server.url).origin, ['clipboard-read', 'clipboard-write', 'clipboard-sanitized-write']);
    await visitor.page.bringToFront();
    await visitor.click('#reseed');
    await visitor.click('#share');
    await visitor.until(`document.getElementById('share').textContent === 'Link copied'`);
    expect(await visitor.page.evaluate(() => navigator.clipboard.readText())).toBe(`${server.url}?scenario=fast&seed=2`);
    await visitor.click('[data-copies="install"]');
    await visitor.until(`document.querySelector('[data-copies="install"]').textContent === 'Copied'`);
    expect(await visitor.page.evaluate(() => navigator.clipboard.readText())).toBe('npm install batchnorm-wasm');
    await visitor.page.close();
  });

  it('names itself to other sites, with a picture that is there', async () => {
    const visitor = await open();
    const properties = await visitor.page.$$eval('meta[property]', (found) => Object.fromEntries(found.map((meta) => [meta.getAttribute('property')!, (meta as HTMLMetaElement).content])));
    expect(properties['og:title']).toBe(await visitor.page.title());
    expect(properties['og:description']).toBe(await visitor.page.$eval('meta[name="description"]', ({ content }) => content));
    const size = await visitor.page.evaluate(async (address) => {
      const image = await createImageBitmap(await (await fetch(address)).blob());
      return [image.width, image.height].map(String);
    }, properties['og:image']!);
    expect(size).toEqual([properties['og:image:width'], properties['og:image:height']]);
    expect(await visitor.page.evaluate(() => crossOriginIsolated)).toBe(true);
    await visitor.page.close();
  });

  describe.each([DESKTOP, PHONE])('$scheme, $width pixels wide', (view) => {
    let visitor: Visitor;
    beforeAll(async () => { visitor = await open('', view); }, PATIENCE);
    afterAll(async () => { await visitor?.page.close(); });
    for (const suite of [training, layers, batch, speed, claims]) suite(() => visitor);
    // It takes a minute or more: once is enough.
    if (view === DESKTOP) finetune(() => visitor, () => server);
    whole(() => visitor);
  });
});

/** The share of a processor that a busy program gets beside all others, at most 1. */
function processorShare(): number {
  const start = performance.now(), before = process.cpuUsage();
  while (performance.now() - start < 200);
  const { user, system } = process.cpuUsage(before);
  return Math.min((user + system) / 1_000 / (performance.now() - start), 1);
}
