/** The first screen. */
import { expect, it } from 'vitest';
import { SCENARIOS } from '../../network/settings.js';
import { colouredPixels } from './pixels.js';
import { accuracy, STEP, type Visitor } from './visitor.js';

export function training(visitor: () => Visitor): void {
  it('has the promise, the equation, the scenarios, both accuracies, the chart and the networks in the first window', async () => {
    const { page, view } = visitor();
    const parts = ['h1', '.equation', '.scenarios', '.readouts', '#accuracy-plot', '.network.without', '.network.with'];
    for (const part of parts) {
      const { top, bottom } = await page.$eval(part, (element) => element.getBoundingClientRect().toJSON());
      expect(top, part).toBeGreaterThanOrEqual(0);
      expect(bottom, part).toBeLessThanOrEqual(view.height);
    }
  });

  it('has the chart and every control in one window', async () => {
    const { page, view } = visitor();
    const { top } = await page.$eval('#accuracy-plot', (element) => element.getBoundingClientRect().toJSON());
    const { bottom } = await page.$eval('#settings', (element) => element.getBoundingClientRect().toJSON());
    expect(bottom - top).toBeLessThan(view.height);
  });

  it('asks a question with each scenario, the starkest contrast first', async () => {
    expect(await visitor().texts('[data-scenario]')).toEqual(SCENARIOS.map(({ question }) => question));
    for (const { question } of SCENARIOS) expect(question).toMatch(/^What if .+\?$/);
    expect(await visitor().attribute('[data-scenario="0"]', 'aria-pressed')).toBe('true');
  });

  it('trains by itself, and with batch norm the accuracy rises', async () => {
    const { page } = visitor();
    await visitor().until(`${accuracy('with')} > 60 && ${accuracy('without')} < 25`);
    expect(await visitor().text('#verdict')).toMatch(/^Still guessing without batch norm; reading [\d.]+ % of the digits with it\.$/);
    for (const id of ['accuracy-plot', 'loss-plot', 'percentiles-with', 'percentiles-without']) {
      expect(await page.evaluate(colouredPixels, id), id).toBeGreaterThan(50);
    }
  });

  it('shows what both networks read in twelve images', async () => {
    const labels = await visitor().page.$$eval('#digits canvas', (canvases) => canvases.map((canvas) => canvas.getAttribute('aria-label')!.at(-1)));
    const answers = await visitor().page.$$eval('#digits b.with', (found) => found.map(({ textContent, classList }) => [textContent, classList.contains('wrong')] as const));
    expect(labels).toHaveLength(12);
    expect(answers.map(([, struck]) => struck)).toEqual(answers.map(([digit], i) => digit !== labels[i]));
    expect(answers.filter(([, struck]) => !struck).length).toBeGreaterThan(4);
    expect(await visitor().text('.network.with .answer')).toBe(answers[0]![0]);
  });

  it('pauses and resumes', async () => {
    const step = await visitor().pause();
    expect(await visitor().text('#train')).toBe('Train');
    await visitor().click('#train');
    await visitor().until(`${STEP} > ${step}`);
  });

  it('shows the training as a table, which moves nothing as it grows', async () => {
    const { page } = visitor();
    const place = () => page.evaluate(() => [
      document.getElementById('layers')!.getBoundingClientRect().top + scrollY,
      ...Array.from(document.querySelectorAll('#history thead th'), (cell) => cell.getBoundingClientRect().left),
    ]);
    await visitor().click('#restart');
    await visitor().press('#training summary', 'Enter');
    await visitor().until(`document.querySelectorAll('#history tbody tr').length > 0`);
    const before = await place();
    await visitor().until(`document.querySelectorAll('#history tbody tr').length === 12`);
    expect(await place()).toEqual(before);
    expect(await visitor().texts('#history tbody tr:first-child td')).toHaveLength(4);
    await visitor().press('#training summary', 'Enter');
  });

  it('restarts when a slider is moved with the keyboard, tells the value, and puts it into the address', async () => {
    const { page } = visitor();
    await visitor().until(`${STEP} > 60`);
    await visitor().press('#learningRate', 'ArrowRight');
    expect(await visitor().text('#learningRate-value')).toBe('1');
    expect(await visitor().attribute('#learningRate', 'aria-valuetext')).toBe('1');
    await visitor().until(`${STEP} < 60`);
    expect(await page.$$('[data-scenario][aria-pressed="true"]')).toHaveLength(0);
    expect(new URL(page.url()).search).toBe('?activation=sigmoid&depth=8&spread=0.1&learningRate=1&batchSize=60');
    await visitor().press('[name="activation"][value="sigmoid"]', 'ArrowRight');
    await visitor().until(`document.getElementById('flat-text').textContent.includes('±2')`);
  });

  it.each(SCENARIOS.map((scenario, i) => ({ i, ...scenario })))('sets and trains the scenario $name', async ({ i, name, settings }) => {
    await visitor().click(`[data-scenario="${i}"]`);
    for (const slider of ['learningRate', 'spread', 'depth', 'batchSize'] as const) {
      expect(await visitor().text(`#${slider}-value`)).toBe(String(settings[slider]));
    }
    expect(await visitor().attribute(`[data-scenario="${i}"]`, 'aria-pressed')).toBe('true');
    expect(new URL(visitor().page.url()).search).toBe(i === 0 ? '' : `?scenario=${name}`);
    await visitor().until(`${STEP} > 0 && ${accuracy('with')} > 30 && ${accuracy('with')} > ${accuracy('without')} + 10`);
  });
}
