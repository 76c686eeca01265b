import { defineConfig } from 'vitepress';
import { anchorOf, guides, pageOf, reference, resolveLinks } from './pages.js';

/** That of the page. */
const ICON = '<svg xmlns=%22http://www.w3.org/2000/svg%22 viewBox=%220 0 16 16%22>'
  + '<path d=%22M1 13c4 0 4-10 7-10s3 10 7 10%22 fill=%22none%22 stroke=%22%233b6fe0%22 stroke-width=%222%22/></svg>';

export default defineConfig({
  title: 'batchnorm-wasm',
  description: 'Batch normalization for JavaScript that trains: guides and reference.',
  // Relative addresses, so that the site works from any folder of any server.
  base: './',
  head: [['link', { rel: 'icon', href: `data:image/svg+xml,${ICON}` }]],
  srcDir: '..',
  srcExclude: ['assembly', 'build', 'out', 'src', 'test', 'bench/peers', 'demo/test', 'examples/tfjs/nsfw'].map((folder) => `${folder}/**`),
  rewrites: pageOf,
  outDir: '../out/docs',
  cacheDir: '../build/vitepress',
  markdown: { anchor: { slugify: anchorOf }, config: resolveLinks },
  vite: { build: { chunkSizeWarningLimit: 2000 } },
  themeConfig: {
    search: { provider: 'local' },
    outline: [2, 3],
    nav: [
      { text: 'Guides', link: '/getting-started.md', activeMatch: '^(?!.*reference)' },
      { text: 'Reference', link: '/reference.md', activeMatch: 'reference' },
      { text: 'The page', link: '/demo/index.html', target: '_self' },
    ],
    sidebar: { '/reference': reference(), '/': guides() },
    footer: { message: 'MIT License' },
  },
});
