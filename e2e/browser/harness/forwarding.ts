import { createServer, request, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A reverse proxy on this machine, such as people put in front of a bootstrap node. */
export class Forwarding {
  /** `http://localhost:…` */
  readonly url: string;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://localhost:${(server.address() as AddressInfo).port}`;
  }

  /** Forwards everything to `target`, with the headers that `change` makes of those asked with. */
  static async start(
    target: string,
    change: (headers: IncomingHttpHeaders) => IncomingHttpHeaders,
  ): Promise<Forwarding> {
    const server = createServer((asked, answer) => {
      const { method, url = '/' } = asked;
      const options = { method, headers: change(asked.headers) };
      request(new URL(url, target), options, (found) => {
        answer.writeHead(found.statusCode ?? 502, found.headers);
        found.pipe(answer);
      })
        .on('error', () => answer.writeHead(502).end())
        .end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new Forwarding(server);
  }

  async end(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
