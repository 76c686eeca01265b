import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';
import { gzipSync } from 'node:zlib';

const TYPES: Record<string, string> = {
  '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.wasm': 'application/wasm', '.bin': 'application/octet-stream',
  '.svg': 'image/svg+xml', '.png': 'image/png', '.json': 'application/json',
};

export interface Server {
  readonly url: string;
  /** Bytes of every file that was sent, compressed, by its name. */
  readonly sent: Map<string, number>;
  close(): void;
}

/** Serves only the files of a folder, under a path of the server, compressed and, unless told not to, isolated from other origins. */
export async function serve(folder: string, path: string, isolated = true): Promise<Server> {
  const isolation = isolated ? { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' } : {};
  const sent = new Map<string, number>(), bodies = new Map<string, Buffer>();
  const compressed = (file: string) => {
    const body = bodies.get(file) ?? gzipSync(readFileSync(join(folder, file)));
    bodies.set(file, body);
    return body;
  };
  const server = createServer(({ url }, response) => {
    const { pathname } = new URL(url!, 'http://localhost');
    try {
      if (!pathname.startsWith(path)) throw new Error(`${pathname} is outside of ${path}`);
      const file = pathname.slice(path.length) || 'index.html', body = compressed(file);
      sent.set(file, body.length);
      response.writeHead(200, { 'content-type': TYPES[extname(file)], 'content-encoding': 'gzip', ...isolation }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => { server.listen(0, 'localhost', resolve); });
  const { port } = server.address() as AddressInfo;
  return { url: `http://localhost:${port}${path}`, sent, close: () => { server.close(); } };
}
