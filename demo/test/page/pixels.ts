/** Functions that run in the page and look at pixels. */

/** Counts coloured pixels of a plot; axes and grid are grey or nearly grey. */
export function colouredPixels(id: string): number {
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
export async function groundAndInk(base64: string): Promise<{ corner: number[]; contrast: number }> {
  const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${base64}`)).blob());
  const context = new OffscreenCanvas(image.width, image.height).getContext('2d')!;
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, image.width, image.height);
  const lightness = Array.from({ length: data.length / 4 }, (_, i) => (data[4 * i]! + data[4 * i + 1]! + data[4 * i + 2]!) / 3);
  return { corner: [...data.slice(0, 3)], contrast: lightness.reduce((most, value) => Math.max(most, Math.abs(value - lightness[0]!)), 0) };
}

/**
 * All text that can be seen and whose contrast with its background is too small: below 4.5, or 3 for large text (WCAG 2.2,
 * 1.4.3). Colours are those of the style sheets; opacity counts, and so does the nearest background that is opaque.
 */
export function faintTexts(): string[] {
  const context = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true })!;
  const rgb = (colour: string, over: number[]) => {
    context.fillStyle = `rgb(${over.join(' ')})`;
    context.fillRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)];
  };
  const luminance = (colour: number[]) => {
    const [r, g, b] = colour.map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
  };
  const backgroundOf = (element: Element | null): number[] => (
    element ? rgb(getComputedStyle(element).backgroundColor, backgroundOf(element.parentElement)) : [255, 255, 255]
  );
  const opacityOf = (element: Element | null): number => (element ? Number(getComputedStyle(element).opacity) * opacityOf(element.parentElement) : 1);
  const faint: string[] = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent!.trim(), element = walker.currentNode.parentElement!;
    if (!text || !element.checkVisibility() || element.closest('.hidden, .skip, script, option')) continue;
    const style = getComputedStyle(element), size = Number.parseFloat(style.fontSize), bold = Number(style.fontWeight) >= 700;
    const ground = backgroundOf(element), ink = rgb(element instanceof SVGElement ? style.fill : style.color, ground), opacity = opacityOf(element);
    const seen = ink.map((part, i) => opacity * part + (1 - opacity) * ground[i]!);
    const [dark, light] = [luminance(seen), luminance(ground)].sort((a, b) => a - b), contrast = (light! + 0.05) / (dark! + 0.05);
    if (contrast < (size >= 24 || (bold && size >= 18.66) ? 3 : 4.5)) faint.push(`${text}: ${contrast.toFixed(2)}`);
  }
  return faint;
}
