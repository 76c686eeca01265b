/** The race. */
import { expect, it } from 'vitest';
import type { Visitor } from './visitor.js';

export function speed(visitor: () => Visitor): void {
  const ended = () => visitor().until(`document.getElementById('speed-run').textContent === 'Measure'`);

  it('measures when it comes into view, and makes the headline of it', async () => {
    await visitor().page.$eval('#speed-table', (table) => { table.scrollIntoView({ behavior: 'instant', block: 'center' }); });
    await visitor().until(`/^[\\d.]+$/.test(document.getElementById('speed-factor').textContent)`);
    await ended();
    expect(await visitor().text('#speed-status')).toBe(
      `16 × 64 × 28 × 28: 0.80 million values, 3.2 MB. With tensors, this package is ${await visitor().text('#speed-factor')} times as fast as plain TypeScript.`,
    );
    expect(await visitor().number('#speed-factor')).toBeGreaterThan(1);
  });

  it('has room for the name of every side', async () => {
    const overhang = await visitor().page.$$eval('#speed-table tbody th', (names) => names.map((name) => {
      const text = document.createRange();
      text.selectNodeContents(name);
      return text.getBoundingClientRect().right - name.getBoundingClientRect().right;
    }));
    expect(Math.max(...overhang)).toBeLessThanOrEqual(0);
  });

  it('races the implementations on the chosen shape', async () => {
    for (const [id, value] of [['speed-n', '4'], ['speed-c', '8'], ['speed-size', '16']]) await visitor().set(`#${id}`, value!);
    await visitor().click('#speed-tfjs');
    expect(await visitor().text('#speed-status')).toBe('4 × 8 × 16 × 16: 0.0082 million values, 0.033 MB.');
    await visitor().click('#speed-run');
    expect(await visitor().text('#speed-run')).toBe('Stop');
    await ended();
    expect(await visitor().text('#speed-status')).toMatch(/is [\d.]+ times as fast as plain TypeScript and [\d.]+ times as fast as TensorFlow\.js\.$/);
    for (const time of await visitor().texts('#speed-table .time')) expect(time).toMatch(/^[\d.]+ ms, [\d.]+×$/);
    expect(await visitor().text('#copy-time')).toMatch(/^[\d.]+ ms$/);
    const shares = await visitor().page.$$eval('#speed-table tbody tr', (rows) => rows.map((row) => Number((row as HTMLElement).style.getPropertyValue('--share'))));
    expect(Math.max(...shares)).toBe(1);
    expect(Math.min(...shares)).toBeGreaterThan(0);
  });

  it('stops a race', async () => {
    await visitor().click('#speed-run');
    await visitor().click('#speed-run');
    expect(await visitor().text('#speed-status')).toMatch(/ Stopped\.$/);
    expect(await visitor().text('#speed-run')).toBe('Measure');
  });

  it('refuses to race on a tensor that is too large', async () => {
    await visitor().set('#speed-n', '1000000');
    expect(await visitor().text('#speed-status')).toMatch(/^A tensor must have at least 2 values per channel and at most 64 million/);
  });
}
