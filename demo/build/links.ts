/** Links to the package and its guides. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { escaped } from './html.js';

/** Pages of the site of guides, which has this page in a folder of its own. */
const GUIDES = [
  ['getting-started.html', 'Getting started'], ['porting.html', 'Coming from another framework'], ['tfjs.html', 'In TensorFlow.js'],
  ['statistics.html', 'Running statistics'], ['numerics.html', 'How exact it is'], ['reference.html', 'All calls and options'],
] as const;

/** @param folder - where the page is built; the guides are linked if it lies in their site, which is built before it */
export function links(folder: string): string {
  const guides = GUIDES.filter(([file]) => existsSync(join(folder, '..', file))).map(([file, title]) => [`../${file}`, title] as const);
  return [...guides, ['https://www.npmjs.com/package/batchnorm-wasm', 'The package on npm'] as const]
    .map(([address, title]) => `<li><a href="${address}">${escaped(title)}</a></li>`).join('\n        ');
}
