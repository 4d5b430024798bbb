import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import { pageFolder } from './programs.ts';

/** Content types by the ending of a file. */
export const TYPES: Record<string, string> = {
  '.css': 'text/css',
  '.html': 'text/html; charset=utf-8',
  '.ico': 'image/x-icon',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.json': 'application/json',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
  '.webmanifest': 'application/manifest+json',
  '.woff2': 'font/woff2',
};

/** What is served. */
export interface SiteOptions {
  /** The folder; that of the built page by default. */
  folder?: string;
  /** Headers of every file. */
  headers?: Record<string, string>;
}

/** Serves the built page, and `/bootstrap.json` from a bootstrap node, as `trunk serve` does. */
export class Site {
  /** `http://localhost:…` */
  readonly url: string;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://localhost:${(server.address() as AddressInfo).port}`;
  }

  /** `node` tells where the bootstrap node serves HTTP; it may change or be missing. */
  static async start(
    node: () => string | undefined,
    { folder = pageFolder(), headers = {} }: SiteOptions = {},
  ): Promise<Site> {
    const server = createServer((asked, answer) => {
      const path = decodeURIComponent(new URL(asked.url ?? '/', 'http://localhost').pathname);
      if (path === '/bootstrap.json') {
        proxy(node(), answer);
      } else {
        const file = join(folder, normalize(path === '/' ? '/index.html' : path));
        void serve(file, headers, answer);
      }
    });
    // localhost is 127.0.0.1 for everything else here; Chromium tries both.
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new Site(server);
  }

  async end(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

async function serve(
  file: string,
  headers: Record<string, string>,
  answer: ServerResponse,
): Promise<void> {
  const found = await stat(file).catch(() => undefined);
  if (!found?.isFile()) {
    answer.writeHead(404).end('not found');
    return;
  }
  answer.writeHead(200, {
    ...headers,
    'cache-control': 'no-store',
    'content-length': found.size,
    'content-type': TYPES[extname(file)] ?? 'application/octet-stream',
  });
  createReadStream(file).pipe(answer);
}

function proxy(node: string | undefined, answer: ServerResponse): void {
  const refuse = (): void => void answer.writeHead(502).end('the bootstrap node is not there');
  if (node === undefined) {
    refuse();
    return;
  }
  request(`${node}/bootstrap.json`, (found) => {
    answer.writeHead(found.statusCode ?? 502, {
      'cache-control': 'no-store',
      'content-type': found.headers['content-type'] ?? 'application/json',
    });
    found.pipe(answer);
  })
    .on('error', refuse)
    .end();
}
