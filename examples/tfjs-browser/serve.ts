/** Serves the page from this repository, where the package is in dist/. Where it is installed, `npx vite` does. */
import { fileURLToPath } from 'node:url';
import { createServer } from 'vite';

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const server = await createServer({
  root: path('.'),
  configFile: false,
  resolve: { alias: ['tfjs-training', 'tfjs'].map((name) => ({ find: `batchnorm-wasm/${name}`, replacement: path(`../../dist/${name}.js`) })) },
  server: { fs: { allow: [path('../..')] } },
});
await server.listen();
server.printUrls();
