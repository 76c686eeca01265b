/** Puts the committed results of the experiments into the page at build time. */
import { readFileSync } from 'node:fs';
import type { Plugin } from 'vite';
import { escaped } from './html.js';

/** In the order of the page. */
const NAMES = ['learning-rate', 'initial-spread', 'depth', 'scale', 'bias', 'statistics', 'batch-size', 'synchronised'];
/** Relative to the page's folder. */
const RESULTS = '../examples/experiments/results/';
/** The comment in index.html that they replace. */
const PLACE = '<!-- claims -->';
/** If the window is narrower than this fraction of a figure, the figure's text becomes too small. */
const LEAST_SCALE = 0.85;
/** An experiment's page, as report.ts of the experiments writes it. */
const PAGE = new RegExp([
  '^# (?<title>.+)', String.raw`\*\*The paper\.\*\* (?<claim>.+)`, String.raw`\*\*Here\.\*\* (?<method>.+)`,
  String.raw`!\[(?<description>.+)\]\(.+\)`, '`(?<command>.+)`', String.raw`\*\*(?<outcome>Shown|Not shown)\.\*\* (?<text>.+)`,
  String.raw`(?<table>(?:\|.+\n)+)`,
].join('\n\n'));

/** Puts all experiments into index.html and their figures into its assets. */
export function claims(): Plugin {
  return {
    name: 'claims',
    transformIndexHtml: {
      order: 'pre',
      handler(html, { server }) {
        // The development server gives files outside the page's folder a special address.
        const folder = server ? `/@fs${new URL(`../${RESULTS}`, import.meta.url).pathname}` : RESULTS;
        return html.replace(PLACE, () => NAMES.map((name) => card(read(name), folder)).join('\n'));
      },
    },
  };
}

type Part = 'title' | 'claim' | 'method' | 'description' | 'command' | 'outcome' | 'text' | 'table';
interface Size { width: number; height: number }
/** The parts of a page, escaped, and the sizes of both figures. */
type Result = Record<Part | 'name', string> & Record<'wide' | 'narrow', Size>;

/** @throws {SyntaxError} if a page does not have the format that the experiments write. */
function read(name: string): Result {
  const file = (extension: string) => readFileSync(new URL(`../${RESULTS}${name}.${extension}`, import.meta.url), 'utf8');
  const groups = PAGE.exec(file('md'))?.groups;
  if (!groups) throw new SyntaxError(`expected ${name}.md to be an experiment's page`);
  const parts = Object.fromEntries(Object.entries(groups).map(([part, text]) => [part, escaped(text)])) as Record<Part, string>;
  return { name, ...parts, wide: sizeOf(file('svg')), narrow: sizeOf(file('narrow.svg')) };
}

function sizeOf(svg: string): Size {
  const [, width, height] = /^<svg [^>]*?width="(\d+)" height="(\d+)"/.exec(svg)!;
  return { width: Number(width), height: Number(height) };
}

/** Attributes that reserve the space of a figure until it has loaded. */
function place({ width, height }: Size): string {
  return `width="${width}" height="${height}"`;
}

/** Running text as HTML: converts Markdown code, and keeps numbers on one line with their unit. */
function prose(text: string): string {
  return text.replaceAll(/`(.+?)`/g, '<code>$1</code>').replaceAll(/\S+ %/g, '<span class="whole">$&</span>');
}

/** A shell command that wraps only at spaces and is copied unchanged. */
function shell(command: string): string {
  return `<code class="command">${command.split(' ').map((word) => `<span class="whole">${word}</span>`).join(' ')}</code>`;
}

function mark(outcome: string): string {
  return `<span class="outcome-mark${outcome === 'Shown' ? ' shown' : ''}">${outcome}</span>`;
}

/** A card that opens. Closed, it says what was claimed and what came out. */
function card({ name, title, claim, method, description, command, outcome, text, table, wide, narrow }: Result, folder: string): string {
  return `<details id="claim-${name}" class="claim" name="claim">
    <summary><h3>${title}</h3>${mark(outcome)}<p class="result">${prose(text)}</p></summary>
    <div class="body">
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
          <p>${prose(text)}</p>
          ${shell(command)}
        </figcaption>
      </figure>
      <details>
        <summary>The same data in numbers</summary>
        <div class="scroll" tabindex="0" role="region" aria-label="${title}: numbers">${tableOf(table)}</div>
      </details>
    </div>
  </details>`;
}

/** Converts a Markdown table: the header, a rule, then rows that start with their header cell. */
function tableOf(markdown: string): string {
  const [header, , ...rows] = markdown.trim().split('\n').map((line) => line.slice(2, -2).split(' | '));
  const row = ([first, ...cells]: string[]) => `<tr><th scope="row">${first}</th>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
  return `<table>
    <thead><tr>${header!.map((cell) => `<th scope="col">${cell}</th>`).join('')}</tr></thead>
    <tbody>${rows.map(row).join('')}</tbody>
  </table>`;
}
