/**
 * Builds the page and writes demo/screenshot.png, its first screen in Chromium after some training:
 * `npm run build && node --import tsx demo/build/screenshot.ts`. README.md shows it, and other sites show it beside a link to the page.
 */
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { start } from '../../test/browsers.js';
import { serve } from '../test/serve.js';

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));
/** In the proportions that sites expect, in 2400 by 1260 pixels. */
const WINDOW = { width: 1440, height: 756, deviceScaleFactor: 5 / 3 };
const STEPS = 250;

const outDir = path('../../out/demo-screenshot');
await build({ configFile: path('../vite.config.ts'), logLevel: 'warn', build: { outDir } });
const server = await serve(outDir, '/');
const browser = await start('chrome');
const page = await browser.newPage();
await page.setViewport(WINDOW);
await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'light' }]);
await page.goto(server.url);
await page.waitForFunction(`Number(document.getElementById('step').textContent) >= ${STEPS}`, { timeout: 300_000 });
await page.screenshot({ path: path('../screenshot.png') as `${string}.png` });
await browser.close();
server.close();
