/** Pages and what they say, for the hosts that are browsers. */
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import type { Browser } from 'puppeteer-core';

const TYPES: Record<string, string> = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript' };

/** Serves a folder as it is while `use` runs. The charset is one that a page must survive. */
export async function served<T>(folder: string, headers: Record<string, string>, use: (url: string) => Promise<T>): Promise<T> {
  const server = createServer(async ({ url = '/' }, response) => {
    const { pathname } = new URL(url, 'http://localhost');
    const path = join(folder, normalize(pathname === '/' ? '/index.html' : pathname));
    try {
      const body = await readFile(path);
      response.writeHead(200, { ...headers, 'content-type': `${TYPES[extname(path)] ?? 'application/octet-stream'}; charset=windows-1252` }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  try {
    return await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

export interface PageOutput {
  /** What the page logged first. */
  readonly log: string;
  /** What it warned of by then. */
  readonly warnings: string[];
}

/** Opens a page and waits until it has logged something. An error of the page is thrown. */
export async function outputOf(browser: Browser, url: string): Promise<PageOutput> {
  const page = await browser.newPage();
  const warnings: string[] = [];
  try {
    return await new Promise<PageOutput>((resolve, reject) => {
      page.on('console', (message) => {
        if (message.type() === 'log') resolve({ log: message.text(), warnings });
        if (message.type() === 'warn') warnings.push(message.text());
      });
      // Firefox reports what a policy has blocked as an error of the page, too.
      page.on('pageerror', (error) => { if (!(error as Error).message.startsWith('Content-Security-Policy')) reject(error); });
      page.goto(url).catch(reject);
      setTimeout(() => reject(new Error(`${url} logged nothing for a minute`)), 60_000).unref();
    });
  } finally {
    await page.close();
  }
}
