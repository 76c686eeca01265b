/** The browsers of this machine, for vitest's browser mode. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { defineBrowserProvider } from '@vitest/browser';
import { type Browser, type LaunchOptions, launch } from 'puppeteer-core';

/** The names of their executables. */
const NAMES = {
  chrome: ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'],
  firefox: ['firefox-esr', 'firefox'],
};
type Name = keyof typeof NAMES;

/** No sandbox, which root cannot have; and nothing but the tests is loaded. */
const ARGUMENTS: Record<Name, string[]> = { chrome: ['--no-sandbox', '--disable-background-networking'], firefox: [] };

/** The executable of a browser, undefined if there is none. */
export function executableOf(name: Name): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter);
  return NAMES[name].flatMap((file) => folders.map((folder) => join(folder, file))).find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Starts a browser without a window. Both speak WebDriver BiDi or Chrome's protocol to puppeteer, as they come. */
export function start(name: Name, { args = [], ...options }: LaunchOptions = {}): Promise<Browser> {
  return launch({
    browser: name, executablePath: executableOf(name)!, headless: true, args: [...ARGUMENTS[name], ...args], ...options,
  });
}

/** vitest's own providers need a patched Firefox or a driver beside it; puppeteer takes both browsers as they are. */
export const puppeteer = () => defineBrowserProvider({
  name: 'puppeteer',
  supportedBrowser: Object.keys(NAMES),
  options: {},
  providerFactory(project) {
    let browser: Promise<Browser> | undefined;
    return {
      name: 'puppeteer',
      supportsParallelism: false,
      getCommandsContext: () => ({}),
      async openPage(_, url) {
        browser ??= start(project.config.browser.name as Name);
        const page = await (await browser).newPage();
        await page.goto(url, { timeout: 0 });
      },
      async close() {
        await (await browser)?.close();
      },
    };
  },
});
