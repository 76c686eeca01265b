/** The layers: everything drawn and written of them is of one measurement. */
import { expect, it } from 'vitest';
import { DECADES } from '../../training/layer-view.js';
import type { Visitor } from './visitor.js';

const NETWORKS = ['without', 'with'] as const;

export function layers(visitor: () => Visitor): void {
  it('shows the gradient vanish without batch norm, and not with it', async () => {
    await visitor().click('[data-scenario="0"]');
    await visitor().until(`document.querySelectorAll('#layers-without li').length === 8 && document.getElementById('step').textContent !== '0'`);
    const [without, withNorm] = await Promise.all(NETWORKS.map((network) => barsOf(visitor(), `#layers-${network}`)));
    expect(without).toEqual([...without!].sort((a, b) => a - b));
    // Four powers of ten and more, between the first layer and the last.
    expect(without!.at(-1)! - without![0]!).toBeGreaterThan(4 / (DECADES.to - DECADES.from));
    expect(Math.max(...withNorm!) - Math.min(...withNorm!)).toBeLessThan(1 / (DECADES.to - DECADES.from));
  });

  it('writes the numbers that it draws and tells', async () => {
    await visitor().pause();
    for (const network of NETWORKS) {
      const shares = await visitor().texts(`#layers-${network} .flat-share`), sizes = await visitor().texts(`#layers-${network} .gradient-size`);
      const labels = await visitor().texts(`#layers-${network} .hidden`), bars = await barsOf(visitor(), `#layers-${network}`);
      expect(labels).toEqual(shares.map((share, i) => `layer ${i + 1}: ${share} of the inputs in the flat range, gradient ${sizes[i]}`));
      sizes.forEach((size, i) => {
        const power = Math.log10(numberOf(size)), drawn = DECADES.from + bars[i]! * (DECADES.to - DECADES.from);
        // The number has one digit: 1 may stand for 0.95 to 1.5.
        expect(Math.abs(power - drawn), `${size} drawn as 10^${drawn}`).toBeLessThan(0.19);
      });
      expect(await visitor().texts(`#diagram-${network} .hidden`)).toEqual(labels);
      expect(await pathsOf(visitor(), `#diagram-${network}`)).toEqual(await pathsOf(visitor(), `#layers-${network}`));
    }
    await visitor().click('#train');
  });

  it('keeps what it writes true to what it draws as training goes on', async () => {
    await visitor().click('[data-scenario="1"]');
    // The inputs of the third layer drift into the flat range without batch norm: at first none are there.
    await visitor().until(`parseFloat(document.querySelector('#layers-without li:last-child .flat-share').textContent) > 10`);
    await visitor().pause();
    const written = (await visitor().texts('#layers-without .flat-share')).map(Number.parseFloat);
    const drawn = await visitor().page.$$eval('#layers-without svg', (pictures) => pictures.map((picture) => {
      const heights = picture.querySelector('.ridge-line')!.getAttribute('d')!.slice(4, -1).split('L').slice(1, -1)
        .map((point) => point.split(' ').map(Number) as [number, number]);
      const flat = [...picture.querySelectorAll('.flat-range')].map((rect) => ['x', 'width'].map((name) => Number(rect.getAttribute(name))) as [number, number]);
      const sum = (points: [number, number][]) => points.reduce((total, [, y]) => total + 1 - y, 0);
      return (100 * sum(heights.filter(([x]) => flat.some(([from, width]) => x > from && x < from + width)))) / sum(heights);
    }));
    drawn.forEach((share, i) => { expect(Math.abs(share - written[i]!), `layer ${i + 1}`).toBeLessThan(2); });
    await visitor().click('#train');
  });

  it('shows the chosen layer', async () => {
    await visitor().press('#layer', 'Home');
    expect(await visitor().text('#layer-value')).toBe('1 of 3');
  });
}

async function barsOf(visitor: Visitor, list: string): Promise<number[]> {
  const transforms = await visitor.page.$$eval(`${list} .gradient-bar i`, (bars) => bars.map((bar) => (bar as HTMLElement).style.transform));
  return transforms.map((transform) => Number(/scaleX\((.+)\)/.exec(transform)![1]));
}

function pathsOf(visitor: Visitor, list: string): Promise<string[]> {
  return visitor.page.$$eval(`${list} .ridge-line`, (paths) => paths.map((path) => path.getAttribute('d')!));
}

/** The number of a text such as 7·10⁻⁷, 10⁻⁸ or 0.02. */
function numberOf(text: string): number {
  const found = /^(?:(\d)·)?10⁻(.+)$/.exec(text);
  if (!found) return Number(text);
  return Number(found[1] ?? 1) * 10 ** -Number(Array.from(found[2]!, (figure) => '⁰¹²³⁴⁵⁶⁷⁸⁹'.indexOf(figure)).join(''));
}
