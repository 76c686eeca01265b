/** Documents of the project as pages of the site. Their links are those that work in the repository. */
import { readdirSync, readFileSync } from 'node:fs';
import { posix, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { DefaultTheme, MarkdownRenderer } from 'vitepress';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The page of a document, both from the root of the project and of the site: index.md of README.md, layers.md of docs/layers.md. */
export function pageOf(document: string): string {
  if (document === 'README.md') return 'index.md';
  return document.replace(/^docs\/api\//, 'reference/').replace(/^docs\//, '').replace(/(\/|^)README\.md$/, '.md');
}

/** The anchor of a heading, as GitHub makes it. */
export function anchorOf(heading: string): string {
  return heading.toLowerCase().replaceAll(/[^\w\- ]/g, '').replaceAll(' ', '-');
}

interface Environment { readonly path: string; readonly realPath?: string }

/** Path of the document that is rendered, from the root of the project. */
function documentOf({ path, realPath = path }: Environment): string {
  return relative(root, realPath).replaceAll('\\', '/');
}

const PROGRAM = /^[\w-]+\.(ts|py|html)$/;

/** What the page of an example has besides its README: the programs that this links. */
function programsOf(document: string, text: string): string {
  const names = [...text.matchAll(/\]\(([^)]*)\)/g)].map((match) => match[1]!).filter((name) => PROGRAM.test(name));
  const read = (name: string) => readFileSync(posix.join(root, posix.dirname(document), name), 'utf8');
  return names.map((name) => `\n\n## ${name}\n\n\`\`\`${name.split('.').at(-1)}\n${read(name)}\`\`\`\n`).join('');
}

/**
 * Leads links from document to document to their pages, and links to programs to the end of the page. Of a link to any other file
 * only the text stays, because that file is not on the site. Badges are left out: the site asks nothing of other servers.
 */
export function resolveLinks(markdown: MarkdownRenderer): void {
  markdown.core.ruler.before('normalize', 'programs', (state) => { state.src += programsOf(documentOf(state.env), state.src); });
  markdown.core.ruler.push('documents', ({ tokens, env }) => {
    let kept = true;
    for (const token of tokens.flatMap(({ children }) => children ?? [])) {
      if (token.type === 'image' && token.attrGet('src')!.startsWith('https:')) token.type = 'nothing';
      if (token.type === 'link_close' && !kept) [token.type, kept] = ['nothing', true];
      const href = token.type === 'link_open' && token.attrGet('href');
      if (!href || /^(\w+:|#)/.test(href)) continue;
      const [path = '', anchor] = href.split('#'), document = posix.join(posix.dirname(documentOf(env)), path);
      if (document.endsWith('.md')) token.attrSet('href', `/${pageOf(document)}${anchor ? `#${anchor}` : ''}`);
      else if (PROGRAM.test(path)) token.attrSet('href', `#${anchorOf(path)}`);
      else [token.type, kept] = ['nothing', false];
    }
  });
  markdown.renderer.rules.nothing = () => '';
}

function titleOf(document: string): string {
  return /^# (.*)$/m.exec(readFileSync(`${root}/${document}`, 'utf8'))![1]!.replaceAll('`', '');
}

function item(document: string, text = titleOf(document)): DefaultTheme.SidebarItem {
  return { text, link: `/${pageOf(document)}` };
}

function filesIn(folder: string): string[] {
  return readdirSync(`${root}/${folder}`).sort();
}

const GROUPS = {
  'First steps': ['getting-started', 'options', 'porting', 'choosing'],
  'Topics': ['layers', 'statistics', 'checkpoints', 'folding', 'tfjs', 'threads', 'more-than-one-process'],
  'Evidence': ['numerics', 'speed', 'hosts', 'experiments', 'how-it-is-tested'],
};

/** Guides by topic, those of no group last; then examples, and documents on the project. */
export function guides(): DefaultTheme.SidebarItem[] {
  const names = filesIn('docs').filter((name) => name.endsWith('.md')).map((name) => name.slice(0, -3));
  const grouped: string[] = Object.values(GROUPS).flat(), rest = names.filter((name) => !grouped.includes(name));
  const groups = Object.entries(GROUPS).map(([text, members]) => ({ text, members: members.filter((name) => names.includes(name)) }));
  return [
    ...[...groups, { text: 'More', members: rest }].filter(({ members }) => members.length > 0).map(({ text, members }) => (
      { text, items: members.map((name) => item(`docs/${name}.md`)) })),
    {
      ...item('examples/README.md'), collapsed: true,
      items: filesIn('examples').filter((name) => !name.endsWith('.md')).map((name) => item(`examples/${name}/README.md`)),
    },
    {
      text: 'The project',
      items: [...filesIn('.').filter((name) => name.endsWith('.md') && name !== 'README.md').map((name) => item(name)), item('bench/NOTES.md')],
    },
  ];
}

interface Entry { readonly title: string; readonly path?: string; readonly children?: Entry[] }

/** Modules, topics and exports, as TypeDoc has listed them. */
export function reference(): DefaultTheme.SidebarItem[] {
  const entries: Entry[] = JSON.parse(readFileSync(`${root}/docs/api/navigation.json`, 'utf8'));
  const isModule = ({ path }: Entry) => path?.endsWith('/README.md') ?? false;
  const itemOf = ({ title, path, children }: Entry): DefaultTheme.SidebarItem => ({
    text: title, ...path && { link: `/${pageOf(`docs/api/${path}`)}` }, ...children && { items: children.map(itemOf), collapsed: true },
  });
  const modulesIn = (entry: Entry, folder: string): DefaultTheme.SidebarItem[] => {
    const name = folder + entry.title, children = entry.children ?? [];
    return [
      { ...itemOf({ ...entry, title: name, children: children.filter((child) => !isModule(child)) }), collapsed: folder !== '' },
      ...children.filter(isModule).flatMap((child) => modulesIn(child, `${name}/`)),
    ];
  };
  return entries.flatMap((entry) => modulesIn(entry, ''));
}
