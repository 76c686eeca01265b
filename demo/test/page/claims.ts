/** The cards of the experiments, and how to use the package. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { EXPERIMENTS } from '../../../examples/experiments/index.js';
import { groundAndInk } from './pixels.js';
import type { Visitor } from './visitor.js';

/** Pixels of the smallest text in a figure: as drawn, and the smallest that can be read. */
const FIGURE_TEXT = 13;
const READABLE = 9;

/** Every experiment with its committed results. */
const kept = EXPERIMENTS.map((experiment) => {
  const file = new URL(`../../../examples/experiments/results/${experiment.name}.json`, import.meta.url);
  const { command, conclusion, rows } = JSON.parse(readFileSync(file, 'utf8'));
  return { ...experiment, command, conclusion, table: experiment.summary(rows).table };
});

export function claims(visitor: () => Visitor): void {
  it('has a card for every experiment, with its outcome', async () => {
    expect(await visitor().texts('.claim h3')).toEqual(kept.map(({ title }) => title));
    expect(await visitor().texts('.outcome-mark')).toEqual(kept.map(({ conclusion: { shows } }) => (shows ? 'Shown' : 'Not shown')));
    expect(await visitor().texts('.claim .result')).toEqual(kept.map(({ conclusion: { text } }) => text));
    expect(await visitor().page.$$('.claim[open]')).toHaveLength(0);
  });

  it('says in each card what the paper says, what is done here, and the exact command', async () => {
    expect(await visitor().texts('.claim .command')).toEqual(kept.map(({ name }) => `npm run experiments -- ${name} --seeds 1,2,3`));
    expect(await visitor().texts('.claim .command')).toEqual(kept.map(({ command }) => command));
    expect(await visitor().texts('.claim .pair p:first-child')).toEqual(kept.map(({ claim }) => `The paper. ${claim}`));
    expect(await visitor().texts('.claim .pair p:last-child')).toEqual(kept.map(({ method }) => `Here. ${method.replaceAll('`', '')}`));
    expect(await visitor().texts('.claim figcaption p')).toEqual(kept.map(({ conclusion: { text } }) => text));
  });

  it.each(kept.map(({ name, title, table }, i) => ({ i, name, title, table })))('opens the card of $name', async ({ i, name, title, table }) => {
    const { page } = visitor(), card = `#claim-${name}`;
    await visitor().press(`${card} > summary`, 'Enter');
    expect(await page.$$('.claim[open]')).toHaveLength(1);
    const figure = (await page.$$('.claim img'))[i]!;
    const heightOf = () => figure.evaluate(({ clientHeight }) => clientHeight), before = await heightOf();
    await figure.evaluate((image) => { image.scrollIntoView({ behavior: 'instant' }); });
    await visitor().until(`((image) => image.complete && image.naturalWidth > 0)(document.querySelector('${card} img'))`);
    const { clientWidth, naturalWidth, alt } = await figure.evaluate(({ clientWidth, naturalWidth, alt }) => ({ clientWidth, naturalWidth, alt }));
    // The space was reserved, and the text in it can be read.
    expect([before, await heightOf()]).toEqual([before, before]);
    expect(before).toBeGreaterThan(100);
    expect((clientWidth / naturalWidth) * FIGURE_TEXT).toBeGreaterThan(READABLE);
    expect(alt.startsWith(`${title}: `)).toBe(true);
    // It is drawn on the background of the page.
    const ground = await page.$eval(':root', (root) => getComputedStyle(root).backgroundColor.match(/\d+/g)!.map(Number));
    const { corner, contrast } = await page.evaluate(groundAndInk, await figure.screenshot({ encoding: 'base64' }));
    corner.forEach((part, c) => { expect(Math.abs(part - ground[c]!), `${corner} on ${ground}`).toBeLessThan(4); });
    expect(contrast).toBeGreaterThan(180);
    await visitor().press(`${card} details summary`, 'Enter');
    const shown = await page.$eval(`${card} table`, (found) => [...(found as HTMLTableElement).rows].map(({ cells }) => [...cells].map(({ innerText }) => innerText)));
    expect(shown).toEqual(table.map((cells) => cells.map((cell) => cell.replaceAll('&#124;', '|'))));
  });

  it('closes the last card', async () => {
    await visitor().press('.claim[open] > summary', 'Enter');
    expect(await visitor().page.$$('.claim[open]')).toHaveLength(0);
  });
}
