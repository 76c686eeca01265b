/** Ranks in a browser: tabs among themselves, and a page in a group of processes over WebSocket. */
import { createServer, type Server as HttpServer } from 'node:http';
import { connect } from '@nats-io/transport-node';
import { build } from 'esbuild';
import type { Browser, Page } from 'puppeteer-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { natsGroup } from '../../src/sync/index.js';
import { executableOf, start } from '../browsers.js';
import { has, startNats } from './engines.js';
import { train } from './training.js';

interface Result {
  readonly shared: string;
  readonly right: boolean;
}
declare const tab: (...options: unknown[]) => Promise<unknown>;
declare const overNats: (...options: unknown[]) => Promise<unknown>;

describe.skipIf(executableOf('chrome') === undefined)('ranks in Chromium', () => {
  let browser: Browser, server: HttpServer;
  const newPage = async () => {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${(server.address() as { port: number }).port}/`);
    await page.waitForFunction(() => 'tab' in globalThis);
    return page;
  };
  beforeAll(async () => {
    const { outputFiles } = await build({ entryPoints: ['test/sync/page.ts'], bundle: true, write: false, format: 'esm', target: 'es2022' });
    server = createServer((request, response) => {
      const script = request.url === '/page.js';
      response.setHeader('content-type', script ? 'text/javascript' : 'text/html').end(script ? outputFiles[0]!.text : '<script type=module src=/page.js></script>');
    });
    await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
    browser = await start('chrome');
  });
  afterAll(async () => {
    await browser.close();
    server.close();
  });
  const tabs = (pages: readonly Page[], run: string, hang = -1) =>
    pages.map((page, rank) => page.evaluate((...options) => tab(...options), run, rank, pages.length, rank === hang));

  it('are tabs with the bits of one machine', async () => {
    const pages = [await newPage(), await newPage(), await newPage()];
    const results = await Promise.all(tabs(pages, 'tabs')) as Result[];
    for (const { shared, right } of results) {
      expect(right).toBe(true);
      expect(shared).toBe(results[0]!.shared);
    }
    for (const page of pages) await page.close();
  });

  it('name a tab that is closed, long before the time-out', async () => {
    const pages = [await newPage(), await newPage()], results = tabs(pages, 'closed', 1), began = performance.now();
    await results[1];
    await pages[1]!.close();
    expect(await results[0]).toMatch(/^rank 1 is gone in collective \d+$/);
    expect(performance.now() - began).toBeLessThan(10_000);
  });

  it.skipIf(!has('nats-server'))('train with processes of Node, over WebSocket, to the same bits', async () => {
    const nats = await startNats(), run = 'page and process';
    try {
      const page = await newPage(), there = page.evaluate((...options) => overNats(...options), nats.websocket, run, 1, 2) as Promise<Result>;
      const connection = await connect({ servers: `127.0.0.1:${nats.port}` });
      const group = await natsGroup(connection, { run, rank: 0, size: 2, timeout: 20_000 });
      const results = [await train(group), await there];
      group.close();
      await connection.close();
      for (const { shared, right } of results) {
        expect(right).toBe(true);
        expect(shared).toBe(results[0]!.shared);
      }
    } finally {
      await nats.stop();
    }
  });
});
