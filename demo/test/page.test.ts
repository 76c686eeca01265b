/** The page as visitors see it: built, served from a folder of a server, and used in Chromium, light and dark. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'puppeteer-core';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EXPERIMENTS } from '../../examples/experiments/index.js';
import { executableOf, start } from '../../test/browsers.js';
import { PRESETS } from '../settings.js';
import { serve } from './serve.js';

const OUT = fileURLToPath(new URL('../../out/demo-test', import.meta.url));
/** Milliseconds from the request to the first reaction to the visitor. */
const FIRST_INTERACTION = 2_000;
/** Other programs may occupy the processor during one of them. */
const ATTEMPTS = 3;
const PATIENCE = 60_000;
/** Pixels of the smallest text in a figure: as drawn, and the smallest that can be read. */
const FIGURE_TEXT = 13;
const READABLE = 9;

/** Every experiment with its committed results. */
const kept = EXPERIMENTS.map((experiment) => {
  const file = new URL(`../../examples/experiments/results/${experiment.name}.json`, import.meta.url);
  const { command, conclusion, rows } = JSON.parse(readFileSync(file, 'utf8'));
  return { ...experiment, command, conclusion, table: experiment.summary(rows).table };
});

const chromium = executableOf('chrome');
if (!chromium) console.warn('The page’s tests are skipped: there is no Chromium (Debian: apt-get install chromium).');

describe.skipIf(!chromium)('the page', { timeout: 2 * PATIENCE }, () => {
  let browser: Browser;
  let server: Awaited<ReturnType<typeof serve>>;

  beforeAll(async () => {
    const configFile = fileURLToPath(new URL('../vite.config.ts', import.meta.url));
    await build({ configFile, logLevel: 'warn', build: { outDir: OUT } });
    server = await serve(OUT, '/some/folder/');
    browser = await start('chrome');
  }, 60_000);

  afterAll(async () => {
    await browser?.close();
    server?.close();
  });

  it('reacts within two seconds, if the machine has time for it', async () => {
    const times: number[] = [];
    for (let attempt = 0; attempt < ATTEMPTS && !times.some((time) => time < FIRST_INTERACTION); attempt++) {
      const page = await browser.newPage();
      await page.goto(server.url, { waitUntil: 'domcontentloaded' });
      await page.click('[data-preset="3"]');
      await page.waitForFunction(`document.getElementById('depth-value').textContent === '8'`);
      times.push(await page.evaluate(() => performance.now()));
      await page.close();
    }
    expect(Math.min(...times)).toBeLessThan(FIRST_INTERACTION);
  });

  it('does not start by itself for visitors who prefer reduced motion', async () => {
    const page = await browser.newPage();
    await page.emulateMediaFeatures([{ name: 'prefers-reduced-motion', value: 'reduce' }]);
    await page.goto(server.url);
    await page.waitForFunction(`document.getElementById('verdict').textContent.startsWith('Both start')`);
    await new Promise((resolve) => { setTimeout(resolve, 500); });
    expect(await page.$eval('#step', ({ textContent }) => textContent)).toBe('0');
    await page.click('#train');
    await page.waitForFunction(`document.getElementById('step').textContent !== '0'`);
    await page.close();
  });

  it('does not load the figures of the experiments before the visitor comes near', async () => {
    const page = await browser.newPage();
    const loaded = () => page.evaluate(() => performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('.svg')).length);
    await page.goto(server.url);
    expect(await loaded()).toBe(0);
    await page.$eval('.claim img', (figure) => { figure.scrollIntoView(); });
    await page.waitForFunction(`document.querySelector('.claim img').complete`, { polling: 50 });
    expect(await loaded()).toBeGreaterThan(0);
    await page.close();
  });

  describe.each([
    { scheme: 'light', width: 1280, height: 900 },
    { scheme: 'dark', width: 390, height: 844 },
  ])('$scheme, $width pixels wide', ({ scheme, width, height }) => {
    let page: Page;
    const problems: string[] = [];

    beforeAll(async () => {
      page = await browser.newPage();
      page.setDefaultTimeout(PATIENCE);
      page.on('console', (message) => { if (['error', 'warn'].includes(message.type())) problems.push(message.text()); });
      page.on('pageerror', (error) => { problems.push(String(error)); });
      page.on('requestfailed', (request) => { problems.push(`${request.url()} failed`); });
      page.on('response', (response) => { if (response.status() >= 400) problems.push(`${response.url()}: ${response.status()}`); });
      await page.setViewport({ width, height, isMobile: width < 500, hasTouch: width < 500 });
      await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
      await page.evaluateOnNewDocument(observeShifts);
      await page.goto(server.url, { waitUntil: 'domcontentloaded' });
    }, PATIENCE);

    const text = (selector: string) => page.$eval(selector, (element) => element.textContent!.trim());
    const number = async (selector: string) => Number.parseFloat((await text(selector)).replace('−', '-').replace(',', ''));
    const texts = (selector: string) => page.$$eval(selector, (elements) => elements.map((element) => element.textContent!.trim()));
    const click = (selector: string) => page.$eval(selector, (element) => { (element as HTMLElement).click(); });
    const until = (condition: string) => page.waitForFunction(condition, { polling: 50 });
    const accuracy = (network: string) => `parseFloat(document.getElementById('accuracy-${network}').textContent)`;
    const press = async (selector: string, ...keys: ('ArrowRight' | 'ArrowLeft' | 'End' | 'Home')[]) => {
      await page.focus(selector);
      for (const key of keys) await page.keyboard.press(key);
    };

    it('has the colour scheme of the visitor’s system', async () => {
      const [red] = (await page.$eval(':root', (root) => getComputedStyle(root).backgroundColor)).match(/\d+/g)!.map(Number);
      expect(red! > 128).toBe(scheme === 'light');
    });

    it('trains by itself, and with batch norm the accuracy rises', async () => {
      await until(`${accuracy('with')} > 0`);
      const before = await number('#accuracy-with');
      await until(`${accuracy('with')} > ${Math.max(before + 20, 60)}`);
      expect(await number('#accuracy-without')).toBeLessThan(await number('#accuracy-with'));
      expect(await text('#verdict')).toMatch(/^After \d+ steps, /);
    });

    it('draws what it measures', async () => {
      const plots = ['accuracy-plot', 'loss-plot', 'histogram-with', 'histogram-without', 'percentiles-with', 'percentiles-without'];
      for (const id of plots) expect(await page.evaluate(colouredPixels, id), id).toBeGreaterThan(100);
      expect(await page.$eval('#histogram-with', (plot) => plot.getAttribute('aria-label'))).toMatch(/layer 3: \d+ %/);
    });

    it('shows what both networks read in twelve images', async () => {
      const labels = await page.$$eval('#digits canvas', (canvases) => canvases.map((canvas) => canvas.getAttribute('aria-label')!.at(-1)));
      const answers = await page.$$eval('#digits .with', (found) => found.map(({ textContent, classList }) => [textContent, classList.contains('wrong')] as const));
      expect(labels).toHaveLength(12);
      expect(answers.map(([, struck]) => struck)).toEqual(answers.map(([digit], i) => digit !== labels[i]));
      expect(answers.filter(([, struck]) => !struck).length).toBeGreaterThan(4);
    });

    it('pauses and resumes', async () => {
      await click('#train');
      await new Promise((resolve) => { setTimeout(resolve, 300); });
      const step = await number('#step');
      await new Promise((resolve) => { setTimeout(resolve, 500); });
      expect(await number('#step')).toBe(step);
      expect(await text('#train')).toBe('Train');
      await click('#train');
      await until(`Number(document.getElementById('step').textContent) > ${step}`);
    });

    it('shows the training as a table', async () => {
      await click('summary');
      await until(`document.querySelectorAll('#history tbody tr').length > 3`);
      expect(await texts('#history tbody tr:first-child td')).toHaveLength(4);
      await click('summary');
    });

    it('restarts when a slider is moved with the keyboard, and tells the value', async () => {
      await until(`Number(document.getElementById('step').textContent) > 60`);
      await press('#learningRate', 'ArrowRight');
      expect(await text('#learningRate-value')).toBe('0.2');
      expect(await page.$eval('#learningRate', (slider) => slider.getAttribute('aria-valuetext'))).toBe('0.2');
      await until(`Number(document.getElementById('step').textContent) < 60`);
      expect(await page.$$('[aria-pressed="true"]')).toHaveLength(0);
      await press('[name="activation"][value="sigmoid"]', 'ArrowRight');
      await until(`document.getElementById('saturated-text').textContent.includes('±2')`);
    });

    it('shows the chosen layer', async () => {
      await press('#layer', 'Home');
      expect(await text('#layer-value')).toBe('1 of 3');
    });

    it.each(PRESETS.map((preset, i) => ({ i, ...preset })))('sets and trains the preset $name', async ({ i, settings }) => {
      await click(`[data-preset="${i}"]`);
      for (const name of ['learningRate', 'spread', 'depth', 'batchSize'] as const) {
        expect(await text(`#${name}-value`)).toBe(String(settings[name]));
      }
      expect(await page.$eval(`[data-preset="${i}"]`, (button) => button.getAttribute('aria-pressed'))).toBe('true');
      await until(`document.getElementById('step').textContent !== '0' && ${accuracy('with')} > 30 && ${accuracy('with')} > ${accuracy('without')} + 10`);
    });

    it('moves every output in training and one in evaluation when the first value of a batch moves', async () => {
      const column = (k: number) => texts(`#batch-table tbody td:nth-child(${k + 1})`);
      const [, train, evaluation] = [await column(1), await column(2), await column(3)];
      await press('#first-value', 'End');
      const [x, movedTrain, movedEvaluation] = [await column(1), await column(2), await column(3)];
      expect(x[0]).toBe('11.00');
      expect(movedTrain.filter((value, i) => value === train[i])).toEqual([]);
      expect(movedEvaluation.slice(1)).toEqual(evaluation.slice(1));
      expect(movedEvaluation[0]).not.toBe(evaluation[0]);
      expect((await column(5)).slice(1)).toEqual(Array(7).fill('0.00'));
      const dx = (await column(4)).map((value) => Number(value.replace('−', '-')));
      expect(dx.filter((value) => value === 0)).toEqual([]);
      expect(Math.abs(dx.reduce((sum, value) => sum + value, 0))).toBeLessThan(0.05);
    });

    it('brings the running statistics to the true ones', async () => {
      await click('#reset-batches');
      const mean = await number('#running-mean');
      expect(mean).toBeLessThan(1);
      for (let i = 0; i < 4; i++) await click('#many-batches');
      expect(Math.abs(await number('#running-mean') - 3)).toBeLessThan(0.8);
      expect(Math.abs(await number('#running-var') - 4)).toBeLessThan(2);
    });

    it('races the implementations on the chosen shape', async () => {
      for (const [id, value] of [['speed-n', '4'], ['speed-c', '8'], ['speed-size', '16']]) {
        await page.$eval(`#${id}`, (input, value) => {
          (input as HTMLInputElement).value = value!;
          input.dispatchEvent(new Event('input', { bubbles: true }));
        }, value);
      }
      expect(await text('#speed-status')).toBe('4 × 8 × 16 × 16: 0.0082 million values, 0.033 MB.');
      await click('#speed-run');
      expect(await text('#speed-run')).toBe('Stop');
      await until(`document.getElementById('speed-run').textContent === 'Compare'`);
      expect(await text('#speed-status')).toMatch(/speed is [\d.]+ times that of plain TypeScript and [\d.]+ times that of TensorFlow.js\.$/);
      for (const time of await texts('#speed-table .time')) expect(time).toMatch(/^[\d.]+ ms, [\d.]+×$/);
      expect(await text('#copy-time')).toMatch(/^[\d.]+ ms$/);
      const shares = await page.$$eval('#speed-table tbody tr', (rows) => rows.map((row) => Number((row as HTMLElement).style.getPropertyValue('--share'))));
      expect(Math.max(...shares)).toBe(1);
      expect(Math.min(...shares)).toBeGreaterThan(0);
    });

    it('stops a race', async () => {
      await click('#speed-run');
      await click('#speed-run');
      expect(await text('#speed-status')).toMatch(/ Stopped\.$/);
      expect(await text('#speed-run')).toBe('Compare');
    });

    it('refuses to race on a tensor that is too large', async () => {
      await page.$eval('#speed-n', (input) => {
        (input as HTMLInputElement).value = '1000000';
        input.dispatchEvent(new Event('input', { bubbles: true }));
      });
      expect(await text('#speed-status')).toMatch(/^A tensor must have at least 2 values per channel and at most 64 million/);
    });

    it('shows every experiment: what the paper says, what is shown here, and the exact command', async () => {
      expect(await texts('.claim h3')).toEqual(kept.map(({ title }) => title));
      expect(await texts('.claim .command')).toEqual(kept.map(({ name }) => `npm run experiments -- ${name} --seeds 1,2,3`));
      expect(await texts('.claim .command')).toEqual(kept.map(({ command }) => command));
      expect(await texts('.claim .pair p:first-child')).toEqual(kept.map(({ claim }) => `The paper. ${claim}`));
      expect(await texts('.claim .pair p:last-child')).toEqual(kept.map(({ method }) => `Here. ${method.replaceAll('`', '')}`));
      const outcomes = kept.map(({ conclusion: { shows } }) => (shows ? 'Shown' : 'Not shown'));
      expect(await texts('.claim figcaption p')).toEqual(kept.map(({ conclusion: { text } }, i) => `${outcomes[i]} ${text}`));
      expect(await texts('.claims li')).toEqual(kept.map(({ title }, i) => `${title} ${outcomes[i]}`));
      const targets = await page.$$eval('.claims a', (links) => links.map((link) => document.querySelector(link.getAttribute('href')!)!.textContent));
      targets.forEach((target, i) => { expect(target).toContain(kept[i]!.command); });
    });

    it('draws the experiments’ figures on its own background, in the space reserved for them, large enough to read', async () => {
      const ground = await page.$eval(':root', (root) => getComputedStyle(root).backgroundColor.match(/\d+/g)!.map(Number));
      const figures = await page.$$('.claim img');
      expect(figures).toHaveLength(kept.length);
      for (const [i, figure] of figures.entries()) {
        const heightOf = () => figure.evaluate(({ clientHeight }) => clientHeight), before = await heightOf();
        await figure.evaluate((image) => { image.scrollIntoView({ behavior: 'instant' }); });
        await until(`((image) => image.complete && image.naturalWidth > 0)(document.querySelectorAll('.claim img')[${i}])`);
        const { clientWidth, naturalWidth, alt } = await figure.evaluate(({ clientWidth, naturalWidth, alt }) => ({ clientWidth, naturalWidth, alt }));
        expect([before, await heightOf()]).toEqual([before, before]);
        expect(before).toBeGreaterThan(100);
        expect((clientWidth / naturalWidth) * FIGURE_TEXT, kept[i]!.name).toBeGreaterThan(READABLE);
        expect(alt.startsWith(`${kept[i]!.title}: `)).toBe(true);
        const { corner, contrast } = await page.evaluate(groundAndInk, await figure.screenshot({ encoding: 'base64' }));
        corner.forEach((part, c) => { expect(Math.abs(part - ground[c]!), `${corner} on ${ground}`).toBeLessThan(4); });
        expect(contrast).toBeGreaterThan(180);
      }
    });

    it('shows the experiments’ tables when they are opened', async () => {
      for (const summary of await page.$$('.claim summary')) await summary.click();
      const tables = await page.$$eval('.claim table', (tables) => tables.map(({ rows }) => [...rows].map(({ cells }) => [...cells].map(({ innerText }) => innerText))));
      expect(tables).toEqual(kept.map(({ table }) => table.map((cells) => cells.map((cell) => cell.replaceAll('&#124;', '|')))));
    });

    it('fits the window', async () => {
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
    });

    it('has given no errors, and nothing has moved by itself', async () => {
      expect(problems).toEqual([]);
      expect(await page.evaluate(() => (window as unknown as { shifts: unknown[] }).shifts)).toEqual([]);
    });
  });
});

/** Collects layout shifts that were not caused by the visitor's input. */
function observeShifts(): void {
  const shifts: unknown[] = [];
  Object.assign(window, { shifts });
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const { value, hadRecentInput, sources } = entry as PerformanceEntry & {
        value: number; hadRecentInput: boolean; sources: { node: Element | null }[];
      };
      if (!hadRecentInput) shifts.push({ value, moved: sources.map(({ node }) => node?.id || node?.className || node?.nodeName) });
    }
  }).observe({ type: 'layout-shift', buffered: true });
}

/** Counts coloured pixels of a plot; axes and grid are grey or nearly grey. */
function colouredPixels(id: string): number {
  const canvas = document.querySelector<HTMLCanvasElement>(`#${id} canvas`)!;
  const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height);
  let count = 0;
  for (let i = 0; i < data.length; i += 4) {
    const [r, g, b, a] = data.slice(i, i + 4) as unknown as [number, number, number, number];
    if (a > 128 && Math.max(r, g, b) - Math.min(r, g, b) > 60) count++;
  }
  return count;
}

/** The colour of a PNG's upper left corner, and the largest difference in lightness between it and another pixel, of 255. */
async function groundAndInk(base64: string): Promise<{ corner: number[]; contrast: number }> {
  const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${base64}`)).blob());
  const context = new OffscreenCanvas(image.width, image.height).getContext('2d')!;
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, image.width, image.height);
  const lightness = Array.from({ length: data.length / 4 }, (_, i) => (data[4 * i]! + data[4 * i + 1]! + data[4 * i + 2]!) / 3);
  return { corner: [...data.slice(0, 3)], contrast: lightness.reduce((most, value) => Math.max(most, Math.abs(value - lightness[0]!)), 0) };
}
