/** What holds of the whole page, after everything else has been used. */
import { expect, it } from 'vitest';
import { faintTexts } from './pixels.js';
import type { Visitor } from './visitor.js';

export function whole(visitor: () => Visitor): void {
  it('has the colour scheme of the visitor’s system', async () => {
    const { page, view } = visitor();
    const [red] = (await page.$eval(':root', (root) => getComputedStyle(root).backgroundColor)).match(/\d+/g)!.map(Number);
    expect(red! > 128).toBe(view.scheme === 'light');
  });

  it('has given no errors, and nothing has moved by itself', async () => {
    expect(visitor().problems).toEqual([]);
    expect(await visitor().shifts()).toEqual([]);
  });

  it('has no text that is hard to see', async () => {
    for (const details of await visitor().page.$$('details')) await details.evaluate((element) => { element.open = true; });
    expect(await visitor().page.evaluate(faintTexts)).toEqual([]);
  });

  it('strikes out a wrong digit without fading it', async () => {
    await visitor().page.$eval('#digits b.with', (digit) => { digit.classList.add('wrong'); });
    expect(await visitor().page.evaluate(faintTexts)).toEqual([]);
  });

  it('fits the window', async () => {
    const { page, view } = visitor();
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(view.width);
  });

  it('keeps every control within its section', async () => {
    const beyond = await visitor().page.$$eval('section :is(button, input:not([type="radio"]), select, output)', (controls) => controls
      .filter((control) => control.getBoundingClientRect().right > control.closest('section')!.getBoundingClientRect().right + 0.5)
      .map((control) => control.id || control.textContent));
    expect(beyond).toEqual([]);
  });

  it('names every control', async () => {
    const unnamed = await visitor().page.$$eval('button, a, input, select, [role="slider"]', (controls) => controls
      .filter((control) => !(control.textContent!.trim() || control.getAttribute('aria-label') || (control as HTMLInputElement).labels?.length))
      .map((control) => control.outerHTML));
    expect(unnamed).toEqual([]);
  });
}
