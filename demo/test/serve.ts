import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';

const TYPES: Record<string, string> = {
  '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.wasm': 'application/wasm', '.bin': 'application/octet-stream',
  '.svg': 'image/svg+xml', '.png': 'image/png',
};

/** Serves only the files of a folder, under a path of the server. */
export async function serve(folder: string, path: string): Promise<{ url: string; close: () => void }> {
  const server = createServer(({ url }, response) => {
    const { pathname } = new URL(url!, 'http://localhost');
    try {
      if (!pathname.startsWith(path)) throw new Error(`${pathname} is outside of ${path}`);
      const file = join(folder, pathname.slice(path.length) || 'index.html');
      response.setHeader('content-type', TYPES[extname(file)]!).end(readFileSync(file));
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => { server.listen(0, 'localhost', resolve); });
  const { port } = server.address() as AddressInfo;
  return { url: `http://localhost:${port}${path}`, close: () => { server.close(); } };
}
