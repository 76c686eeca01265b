/** One batch. */
import { expect, it } from 'vitest';
import { colouredPixels } from './pixels.js';
import type { Visitor } from './visitor.js';

export function batch(visitor: () => Visitor): void {
  const column = async (k: number) => (await visitor().texts(`#batch-table tbody td:nth-child(${k + 1})`)).map((text) => Number(text.replace('−', '-')));
  const places = (row: string) => visitor().page.$$eval(`#batch-figure .dot.${row}`, (dots) => dots.map((dot) => Number(dot.getAttribute('cx'))));
  const changed = (before: number[], after: number[]) => before.filter((value, i) => value !== after[i]).length;
  const SIZE = 8;

  it('moves every output when a value moves in training, and one in evaluation', async () => {
    await visitor().press('#batch summary', 'Enter');
    for (const [mode, count] of [['train', SIZE], ['eval', 1]] as const) {
      await visitor().click('#reset-batches');
      await visitor().click(`[name="mode"][value="${mode}"]`);
      const y = await column(3), drawn = await places('y');
      await visitor().press('#batch-figure .grip', 'End');
      expect((await column(1)).filter((value) => value === 12)).toHaveLength(1);
      expect(changed(y, await column(3)), mode).toBe(count);
      expect(changed([...drawn].sort((a, b) => a - b), (await places('y')).sort((a, b) => a - b)), mode).toBeGreaterThanOrEqual(count);
      // The gradient of one output reaches the inputs that move it.
      expect((await column(4)).filter((value) => value !== 0), mode).toHaveLength(count);
    }
    await visitor().click('[name="mode"][value="train"]');
  });

  it('keeps the columns of the table in their places as numbers change', async () => {
    const places = () => visitor().page.$$eval('#batch-table tr:last-child > *', (cells) => cells.map((cell) => cell.getBoundingClientRect().left));
    const before = await places();
    await visitor().press('#batch-figure .grip', 'End');
    expect(await places()).toEqual(before);
    await visitor().click('#reset-batches');
    expect(await places()).toEqual(before);
  });

  it('shows the steps of Algorithm 1', async () => {
    await visitor().set('#gamma', '2');
    await visitor().set('#beta', '1');
    const x = await column(1), normalised = await column(2), y = await column(3);
    const mean = x.reduce((sum, value) => sum + value, 0) / SIZE, variance = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / SIZE;
    // All numbers are rounded to two digits behind the point.
    expect(await visitor().number('#step-mean')).toBeCloseTo(mean, 1);
    expect(Math.abs((await visitor().number('#step-variance')) - variance)).toBeLessThan(0.1);
    x.forEach((value, i) => {
      expect(Math.abs(normalised[i]! - (value - mean) / Math.sqrt(variance + 1e-5))).toBeLessThan(0.02);
      expect(Math.abs(y[i]! - (2 * normalised[i]! + 1))).toBeLessThan(0.02);
    });
    expect([await visitor().text('#gamma-value'), await visitor().text('#beta-value')]).toEqual(['2.00', '1.00']);
  });

  it('lets a value be dragged', async () => {
    const { page } = visitor();
    const handle = (await page.$('#batch-figure .grip'))!;
    await handle.evaluate((element) => { element.scrollIntoView({ block: 'center', behavior: 'instant' }); });
    const box = (await handle.boundingBox())!, before = Number(await visitor().attribute('#batch-figure .grip', 'aria-valuenow'));
    const x = box.x + box.width / 2, y = box.y + box.height / 2;
    await page.mouse.move(x, y);
    await page.mouse.down();
    await page.mouse.move(x - 60, y, { steps: 3 });
    await page.mouse.up();
    // Browsers deliver moves with the next frame.
    await visitor().until(`document.querySelector('#batch-figure .grip').getAttribute('aria-valuenow') < ${before - 0.5}`);
    await visitor().click('#reset-batches');
    await visitor().press('#batch summary', 'Enter');
  });

  it('brings the running statistics to the true ones', async () => {
    expect(await visitor().number('#running-mean')).toBeLessThan(1);
    // The start, and the first batch: a line.
    expect(await visitor().page.evaluate(colouredPixels, 'running-mean-plot')).toBeGreaterThan(30);
    for (let i = 0; i < 4; i++) await visitor().click('#many-batches');
    expect(Math.abs(await visitor().number('#running-mean') - 3)).toBeLessThan(0.8);
    expect(Math.abs(await visitor().number('#running-var') - 4)).toBeLessThan(2);
  });
}
