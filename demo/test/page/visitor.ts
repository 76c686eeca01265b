/** A visitor of the page: what tests do and read in it. */
import type { Browser, HTTPRequest, Page } from 'puppeteer-core';

/** Milliseconds to wait for anything: other programs may occupy the machine. */
export const PATIENCE = 60_000;

type Key = 'ArrowRight' | 'ArrowLeft' | 'End' | 'Home' | 'Enter';

export interface View {
  readonly scheme: 'light' | 'dark';
  readonly width: number;
  readonly height: number;
}

export class Visitor {
  readonly page: Page;
  readonly view: View;
  /** Errors and warnings of the page, and requests that failed. */
  readonly problems: string[] = [];

  static async open(browser: Browser, url: string, view: View): Promise<Visitor> {
    const page = await browser.newPage();
    page.setDefaultTimeout(PATIENCE);
    const visitor = new Visitor(page, view);
    await page.setViewport({ width: view.width, height: view.height, isMobile: view.width < 500, hasTouch: view.width < 500 });
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: view.scheme }]);
    await page.evaluateOnNewDocument(observeShifts);
    await page.goto(url, { waitUntil: 'domcontentloaded' });
    return visitor;
  }

  private constructor(page: Page, view: View) {
    this.page = page;
    this.view = view;
    page.on('console', (message) => { if (['error', 'warn'].includes(message.type())) this.problems.push(message.text()); });
    page.on('pageerror', (error) => { this.problems.push(String(error)); });
    page.on('requestfailed', (request) => { if (!withdrawn(request)) this.problems.push(`${request.url()}: ${request.failure()?.errorText}`); });
    page.on('response', (response) => { if (response.status() >= 400) this.problems.push(`${response.url()}: ${response.status()}`); });
  }

  /** With spaces as they look: not divided into those that break lines and those that do not. */
  async text(selector: string): Promise<string> {
    return (await this.page.$eval(selector, (element) => element.textContent!)).replaceAll(/\s+/g, ' ').trim();
  }

  async texts(selector: string): Promise<string[]> {
    const found = await this.page.$$eval(selector, (elements) => elements.map((element) => element.textContent!));
    return found.map((text) => text.replaceAll(/\s+/g, ' ').trim());
  }

  async number(selector: string): Promise<number> {
    return Number.parseFloat((await this.text(selector)).replace('−', '-').replace(',', ''));
  }

  attribute(selector: string, name: string): Promise<string | null> {
    return this.page.$eval(selector, (element, name) => element.getAttribute(name), name);
  }

  click(selector: string): Promise<void> {
    return this.page.$eval(selector, (element) => { (element as HTMLElement).click(); });
  }

  async press(selector: string, ...keys: Key[]): Promise<void> {
    await this.page.$eval(selector, (element) => { (element as HTMLElement).focus(); });
    for (const key of keys) await this.page.keyboard.press(key);
  }

  /** Sets an input as typing or dragging does. */
  set(selector: string, value: string): Promise<void> {
    return this.page.$eval(selector, (input, value) => {
      (input as HTMLInputElement).value = value;
      input.dispatchEvent(new Event('input', { bubbles: true }));
    }, value);
  }

  /** Waits until an expression in the page is true. Does not need frames, which a hidden page does not have. */
  until(condition: string): Promise<unknown> {
    return this.page.waitForFunction(condition, { polling: 50 });
  }

  rest(milliseconds: number): Promise<void> {
    return new Promise((resolve) => { setTimeout(resolve, milliseconds); });
  }

  /** Pauses training, and waits until the page shows the last report that was under way. */
  async pause(): Promise<number> {
    await this.click('#train');
    for (let step = await this.number('#step'), attempts = 0; ; attempts++) {
      await this.rest(1_000);
      const now = await this.number('#step');
      if (now === step) return step;
      if (attempts === 20) throw new Error(`expected training to pause, but it is at step ${now}`);
      step = now;
    }
  }

  shifts(): Promise<unknown[]> {
    return this.page.evaluate(() => (window as unknown as { shifts: unknown[] }).shifts);
  }
}

/** An expression for the accuracy that the page shows; NaN after a network has diverged. */
export const accuracy = (network: string) => `parseFloat(document.getElementById('accuracy-${network}').textContent)`;
/** An expression for the step that the page shows. */
export const STEP = `Number(document.getElementById('step').textContent.replace(',', ''))`;

/** The browser withdraws requests that it no longer needs, such as a lazy image that has left the window: nothing has failed. */
function withdrawn(request: HTTPRequest): boolean {
  return request.resourceType() === 'image' && request.failure()?.errorText === 'net::ERR_ABORTED';
}

/** Collects layout shifts that were not caused by the visitor's input. */
function observeShifts(): void {
  const shifts: unknown[] = [];
  const describe = (node: Node | null) => {
    const element = node instanceof Element ? node : node?.parentElement;
    return element && `${element.nodeName} ${element.id} ${element.className}`;
  };
  Object.assign(window, { shifts });
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const { value, hadRecentInput, sources } = entry as PerformanceEntry & {
        value: number; hadRecentInput: boolean; sources: { node: Node | null }[];
      };
      if (!hadRecentInput) shifts.push({ value, moved: sources.map(({ node }) => describe(node)) });
    }
  }).observe({ type: 'layout-shift', buffered: true });
}
