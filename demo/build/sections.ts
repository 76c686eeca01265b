/** Puts the page together from its sections at build time, with what they take from sources of the page. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Plugin } from 'vite';
import { SCENARIOS } from '../network/settings.js';
import { NETWORK_NAMES } from '../training/names.js';
import { escaped } from './html.js';
import { links } from './links.js';

const read = (name: string) => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8').trim();

/** By the comment of the HTML that each replaces. */
const PARTS: Record<string, (folder: string) => string> = {
  scenarios: () => SCENARIOS.map(({ question }, i) => (
    `<button type="button" data-scenario="${i}" aria-pressed="${i === 0}">${escaped(question)}</button>`
  )).join('\n    '),
  networks: () => NETWORK_NAMES.map(network).join('\n'),
  'layer figures': () => NETWORK_NAMES.map(layerFigure).join('\n'),
  example: () => escaped(read('use/example.js')),
  output: () => escaped(read('use/output.txt')),
  links,
};

/** Replaces `<!-- section: NAME -->` by sections/NAME.html, then the comments of PARTS. */
export function sections(): Plugin {
  let folder = '';
  return {
    name: 'sections',
    configResolved({ root, build }) { folder = resolve(root, build.outDir); },
    transformIndexHtml: {
      order: 'pre',
      handler: (html) => html
        .replaceAll(/<!-- section: (\w+) -->/g, (_, name) => read(`sections/${name}.html`))
        .replaceAll(/<!-- ([\w ]+) -->/g, (comment, name) => PARTS[name]?.(folder) ?? comment),
    },
  };
}

function network(name: string): string {
  return `<div class="network ${name}" role="group" aria-label="The network ${name} batch norm">
    <div class="heads"><b class="key">${name}</b><span>gradient</span></div>
    <div class="end"><span class="image"></span></div>
    <ol class="layer-rows" id="diagram-${name}"></ol>
    <div class="end"><span>reads <b class="answer ${name}">–</b></span></div>
  </div>`;
}

function layerFigure(name: string): string {
  return `<figure class="layers-figure ${name}">
    <div class="heads"><span></span><h3 class="key">${name}<span class="wide"> batch norm</span></h3><span>flat</span><span>gradient</span><span></span></div>
    <ol class="layer-rows" id="layers-${name}"></ol>
    <div class="axes" aria-hidden="true"><span></span><span class="input-axis"></span><span></span><span class="gradient-axis"></span><span></span></div>
  </figure>`;
}
