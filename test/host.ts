/** What Node and browsers do differently; all else in the tests is the same. */

export const BROWSER = typeof document !== 'undefined';

/** The bytes of a file, by its path from this folder. */
export async function bytesOf(path: string): Promise<Uint8Array<ArrayBuffer>> {
  const url = new URL(path, import.meta.url);
  if (!BROWSER) return Uint8Array.from(await (await import('node:fs/promises')).readFile(url));
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${path}: ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
}

export async function textOf(path: string): Promise<string> {
  return new TextDecoder().decode(await bytesOf(path));
}

/** The value of an expression in another realm: a context of Node's, or a frame. */
export async function inAnotherRealm(expression: string): Promise<unknown> {
  if (!BROWSER) return (await import('node:vm')).runInNewContext(expression);
  const frame = document.body.appendChild(document.createElement('iframe'));
  return (frame.contentWindow as unknown as typeof globalThis).eval(expression);
}
