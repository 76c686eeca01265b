/** Fine-tuning: loaded and run when a visitor asks for it. */
import { expect, it } from 'vitest';
import { STEPS } from '../../finetune/steps.js';
import type { Server } from '../serve.js';
import type { Visitor } from './visitor.js';

/** Bytes: what the button says it loads. */
const WEIGHT = 3_000_000;

export function finetune(visitor: () => Visitor, server: () => Server): void {
  it('trains with both batch norms on request, and loads for it what it says', async () => {
    const { page } = visitor(), label = await visitor().text('#finetune-run');
    expect(label).toBe(`Fine-tune (loads ${WEIGHT / 1e6} MB)`);
    server().sent.clear();
    await visitor().click('#finetune-run');
    expect(await visitor().text('#finetune-run')).toBe('Stop');
    expect(await page.$eval('#speed-run', (button) => (button as HTMLButtonElement).disabled)).toBe(true);
    await page.waitForFunction(`/trained|failed/.test(document.getElementById('finetune-status').textContent)`, { polling: 200, timeout: 0 });
    expect(await visitor().text('#finetune-status')).toBe('Both have trained.');
    expect([...server().sent.values()].reduce((sum, bytes) => sum + bytes)).toBeLessThan(WEIGHT);
    expect(await visitor().text('#finetune-run')).toBe(label);
    expect(await page.$eval('#speed-run', (button) => (button as HTMLButtonElement).disabled)).toBe(false);
  }, 600_000);

  it('learns the same with both, and faster with this package', async () => {
    const { page } = visitor();
    const rows = await page.$$eval('#finetune-table tbody tr', (found) => found.map((row) => Array.from(row.querySelectorAll('td'), (cell) => Number(cell.textContent))));
    expect(rows).toHaveLength(STEPS);
    const [first, last] = [rows[0]!, rows.at(-1)!];
    expect(Math.abs(first[0]! - first[1]!)).toBeLessThan(0.002);
    for (const loss of last) expect(loss).toBeLessThan(first[0]! / 4);
    const [stock, own] = [await visitor().number('#finetune-without'), await visitor().number('#finetune-with')];
    const factor = await visitor().number('#finetune-factor');
    expect(factor).toBeGreaterThan(1);
    // Each of the three has two digits.
    expect(Math.abs(Math.log(own / stock / factor))).toBeLessThan(0.15);
  });

  it('stops', async () => {
    await visitor().click('#finetune-run');
    await visitor().click('#finetune-run');
    expect(await visitor().text('#finetune-status')).toBe('Stopped.');
    expect(await visitor().text('#finetune-run')).toMatch(/^Fine-tune/);
  });
}
