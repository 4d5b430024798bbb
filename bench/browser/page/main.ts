// The page that is measured. Every implementation is in it; the harness starts those it wants and
// calls them by name.
import { startJs } from './js.ts';
import { startOurs } from './ours.ts';
import { startPlain } from './plain.ts';
import { startRaw } from './raw.ts';
import type { Kind, Peer } from './peer.ts';

const START: Record<Kind, (where?: string) => Promise<Peer>> = {
  ours: startOurs,
  js: startJs,
  raw: startRaw,
  plain: startPlain,
};

class Bench {
  readonly #peers = new Map<string, Peer>();

  /** Starts a peer, and answers its id. `where` is its relay, or where it signals. */
  async start(kind: Kind, name: string, where?: string): Promise<string> {
    const peer = await START[kind](where);
    this.#peers.set(name, peer);
    return peer.id;
  }

  /** Calls a peer; lists of times come back as arrays. */
  async call(name: string, method: keyof Peer, args: unknown[]): Promise<unknown> {
    const peer = this.#peers.get(name);
    const found = peer?.[method] as ((...args: unknown[]) => Promise<unknown>) | undefined;
    if (found === undefined) {
      throw new Error(`${name} has no ${method}`);
    }
    const result = await found.apply(peer, args);
    return typeof result === 'object' ? Array.from(result as ArrayLike<number>) : result;
  }
}

declare global {
  var bench: Bench;
}

globalThis.bench = new Bench();
