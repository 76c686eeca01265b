/** The experiments' results as the page shows them: read from what is committed when the page is built. */
import { readFileSync } from 'node:fs';
import type { Plugin } from 'vite';

/** In the order of the page. */
const NAMES = ['learning-rate', 'initial-spread', 'depth', 'scale', 'bias', 'statistics', 'batch-size'];
/** From the page's folder. */
const RESULTS = '../examples/experiments/results/';
/** Where index.html wants them. */
const PLACE = '<!-- claims -->';
/** In a window narrower than this part of a figure, its text becomes too small. */
const LEAST_SCALE = 0.8;
/** An experiment's page, as report.ts of the experiments writes it. */
const PAGE = new RegExp([
  '^# (?<title>.+)', String.raw`\*\*The paper\.\*\* (?<claim>.+)`, String.raw`\*\*Here\.\*\* (?<method>.+)`,
  String.raw`!\[(?<description>.+)\]\(.+\)`, '`(?<command>.+)`', String.raw`\*\*(?<outcome>Shown|Not shown)\.\*\* (?<text>.+)`,
  String.raw`(?<table>(?:\|.+\n)+)`,
].join('\n\n'));

/** Puts all experiments into index.html, their figures among its assets. */
export function claims(): Plugin {
  return {
    name: 'claims',
    transformIndexHtml: {
      order: 'pre',
      handler(html, { server }) {
        // Files outside of the page's folder have an address of their own while it is being worked on.
        const folder = server ? `/@fs${new URL(RESULTS, import.meta.url).pathname}` : RESULTS;
        const results = NAMES.map(read);
        const list = results.map(({ name, title, outcome }) => `<li><a href="#claim-${name}">${title}</a> ${mark(outcome)}</li>`);
        return html.replace(PLACE, () => [
          `<ol class="claims">${list.join('')}</ol>`, ...results.map((result) => article(result, folder)),
        ].join('\n'));
      },
    },
  };
}

type Part = 'title' | 'claim' | 'method' | 'description' | 'command' | 'outcome' | 'text' | 'table';
interface Size { width: number; height: number }
/** The parts of a page, escaped, and the sizes of both figures. */
type Result = Record<Part | 'name', string> & Record<'wide' | 'narrow', Size>;

/** @throws {SyntaxError} where a page is not as the experiments write it. */
function read(name: string): Result {
  const file = (extension: string) => readFileSync(new URL(`${RESULTS}${name}.${extension}`, import.meta.url), 'utf8');
  const groups = PAGE.exec(file('md'))?.groups;
  if (!groups) throw new SyntaxError(`expected ${name}.md to be an experiment's page`);
  const parts = Object.fromEntries(Object.entries(groups).map(([part, text]) => [part, escaped(text)])) as Record<Part, string>;
  return { name, ...parts, wide: sizeOf(file('svg')), narrow: sizeOf(file('narrow.svg')) };
}

function sizeOf(svg: string): Size {
  const [, width, height] = /^<svg [^>]*?width="(\d+)" height="(\d+)"/.exec(svg)!;
  return { width: Number(width), height: Number(height) };
}

/** Attributes that keep the place of a figure until it has come. */
function place({ width, height }: Size): string {
  return `width="${width}" height="${height}"`;
}

/** A bar within a cell of Markdown is an entity already. */
function escaped(text: string): string {
  return text.replaceAll(/&(?!#\d+;)/g, '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}

/** Running text: code of Markdown, and numbers that stay on a line with their unit. */
function prose(text: string): string {
  return text.replaceAll(/`(.+?)`/g, '<code>$1</code>').replaceAll(/\S+ %/g, '<span class="whole">$&</span>');
}

/** A line of a shell, broken at spaces alone and copied as it is. */
function shell(command: string): string {
  return `<code class="command">${command.split(' ').map((word) => `<span class="whole">${word}</span>`).join(' ')}</code>`;
}

function mark(outcome: string): string {
  return `<span class="outcome${outcome === 'Shown' ? ' shown' : ''}">${outcome}</span>`;
}

function article({ name, title, claim, method, description, command, outcome, text, table, wide, narrow }: Result, folder: string): string {
  return `<article id="claim-${name}" class="claim" aria-labelledby="claim-${name}-title">
    <h3 id="claim-${name}-title">${title}</h3>
    <div class="pair">
      <p><b>The paper.</b> ${prose(claim)}</p>
      <p><b>Here.</b> ${prose(method)}</p>
    </div>
    <figure>
      <picture>
        <source media="(max-width: ${LEAST_SCALE * wide.width}px)" srcset="${folder}${name}.narrow.svg" ${place(narrow)}>
        <img src="${folder}${name}.svg" ${place(wide)} alt="${description}" loading="lazy" decoding="async">
      </picture>
      <figcaption>
        <p>${mark(outcome)} ${prose(text)}</p>
        ${shell(command)}
      </figcaption>
    </figure>
    <details>
      <summary>The same as numbers</summary>
      <div class="scroll" tabindex="0" role="region" aria-label="${title}: numbers">${tableOf(table)}</div>
    </details>
  </article>`;
}

/** A table of Markdown: the header, a rule, then rows that begin with what they are of. */
function tableOf(markdown: string): string {
  const [header, , ...rows] = markdown.trim().split('\n').map((line) => line.slice(2, -2).split(' | '));
  const row = ([first, ...cells]: string[]) => `<tr><th scope="row">${first}</th>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
  return `<table>
    <thead><tr>${header!.map((cell) => `<th scope="col">${cell}</th>`).join('')}</tr></thead>
    <tbody>${rows.map(row).join('')}</tbody>
  </table>`;
}
