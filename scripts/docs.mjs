// Makes the site of guides, reference and page in out/docs, and checks its links. It works from any folder of any server.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join, posix } from 'node:path';
import build from './build.mjs';

const SITE = 'out/docs';

function execute(command, ...args) {
  execFileSync(`node_modules/.bin/${command}`, args, { stdio: ['ignore', 'ignore', 'inherit'] });
}

/** Links and images of all pages that lead to no file, or to no place in it. VitePress checks the pages that links name, not these. */
function brokenLinks() {
  const pages = new Map(readdirSync(SITE, { recursive: true }).filter((file) => file.endsWith('.html') && !file.startsWith('demo'))
    .map((file) => [file.replaceAll('\\', '/'), readFileSync(join(SITE, file), 'utf8')]));
  const broken = [];
  for (const [page, html] of pages) {
    for (const [, link] of html.matchAll(/ (?:href|src)="([^"]*)"/g)) {
      if (/^(\w+:|\/\/)/.test(link)) continue;
      const [path, anchor] = decodeURI(link).split('#'), file = path ? posix.join(posix.dirname(page), path) : page;
      const whole = path.startsWith('/') || !existsSync(join(SITE, file)) ? undefined : pages.get(file) ?? '';
      if (whole === undefined || (anchor && pages.has(file) && !whole.includes(`id="${anchor}"`))) broken.push(`${page}: ${link}`);
    }
  }
  return broken;
}

await build();
rmSync('docs/api', { recursive: true, force: true });
execute('typedoc');
execute('vitepress', 'build', 'docs');
execute('vite', 'build', 'demo', '--outDir', `../${SITE}/demo`);
const broken = brokenLinks();
if (broken.length > 0) {
  console.error(`${broken.length} broken links:\n${broken.join('\n')}`);
  process.exitCode = 1;
} else {
  console.log(`${SITE}: ${readdirSync(SITE, { recursive: true }).filter((file) => file.endsWith('.html')).length} pages, no broken link`);
}
