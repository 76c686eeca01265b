/** What other sites show of a link to the page: title, description and picture. */
import { readFileSync } from 'node:fs';
import type { HtmlTagDescriptor, Plugin } from 'vite';

/** Written by screenshot.ts. */
const PICTURE = 'screenshot.png';

/**
 * Adds the tags of the Open Graph protocol, taken from the page's own title and description, and the picture to the build.
 *
 * @param address - where the page will be, with a slash at the end: sites that show the picture need its whole address
 */
export function social(address = ''): Plugin {
  return {
    name: 'social',
    generateBundle() {
      this.emitFile({ type: 'asset', fileName: PICTURE, source: readFileSync(new URL(`../${PICTURE}`, import.meta.url)) });
    },
    transformIndexHtml(html) {
      const title = /<title>(.+)<\/title>/.exec(html)![1]!, description = /<meta name="description" content="(.+)">/.exec(html)![1]!;
      const tag = (property: string, content: string): HtmlTagDescriptor => ({ tag: 'meta', attrs: { property, content }, injectTo: 'head' });
      return [
        tag('og:type', 'website'), tag('og:title', title), tag('og:description', description), tag('og:image', `${address}${PICTURE}`),
        tag('og:image:width', '2400'), tag('og:image:height', '1260'), tag('og:image:alt', 'Accuracy of two networks, with and without batch norm'),
        ...(address ? [tag('og:url', address)] : []),
        { tag: 'meta', attrs: { name: 'twitter:card', content: 'summary_large_image' }, injectTo: 'head' },
      ];
    },
  };
}
