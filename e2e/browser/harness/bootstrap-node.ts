import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Program } from './process.ts';
import { bootstrapProgram } from './programs.ts';
import { now } from './times.ts';

const TRANSPORTS = {
  tcp: /\/tcp\/\d+\/p2p\//,
  quic: /\/quic-v1\//,
  ws: /\/ws\//,
  'webrtc-direct': /\/webrtc-direct\//,
} as const;

export type Transport = keyof typeof TRANSPORTS;

/** How long the node may take to end after SIGTERM, in ms. */
const STOPPED_WITHIN = 5_000;

/** A bootstrap node on free ports of 127.0.0.1 with a data directory of its own. */
export class BootstrapNode {
  readonly data: string;
  readonly #off: readonly Transport[];
  #flags: Record<string, string>;
  program!: Program;
  peerId = '';
  addresses: readonly string[] = [];
  /** The address of its HTTP server, `http://127.0.0.1:…`. */
  http = '';

  private constructor(data: string, off: readonly Transport[], flags: Record<string, string>) {
    this.data = data;
    this.#off = off;
    const sockets = ['tcp', 'quic', 'ws', 'webrtc-direct', 'stun', 'http'];
    this.#flags = {
      ...Object.fromEntries(sockets.map((flag) => [flag, '127.0.0.1:0'])),
      ...flags,
    };
  }

  /** Starts one without the transports in `off`, and with further flags. */
  static async start(
    off: readonly Transport[] = [],
    flags: Record<string, string> = {},
  ): Promise<BootstrapNode> {
    const data = await mkdtemp(join(tmpdir(), 'moim-e2e-'));
    const node = new BootstrapNode(data, off, flags);
    await node.#launch();
    return node;
  }

  /** Its address for a transport, with its peer id. */
  address(transport: Transport): string {
    const address = this.addresses.find((text) => TRANSPORTS[transport].test(text));
    if (address === undefined) {
      throw new Error(`no ${transport} in ${this.addresses.join(' ')}`);
    }
    return address;
  }

  /** A number that it counts, as Prometheus gets it. */
  async metric(name: string): Promise<number> {
    const text = await (await fetch(`${this.http}/metrics`)).text();
    const line = text.split('\n').find((line) => line.startsWith(`${name} `));
    if (line === undefined) {
      throw new Error(`no ${name} in ${text}`);
    }
    return Number(line.slice(name.length));
  }

  async stop(): Promise<void> {
    this.program.signal('SIGTERM');
    await this.program.ended(STOPPED_WITHIN);
  }

  /** Starts it again on the same ports; answers when it served again, in ms. */
  async startAgain(): Promise<number> {
    const before = [...this.addresses].sort();
    for (const transport of Object.keys(TRANSPORTS) as Transport[]) {
      if (!this.#off.includes(transport)) {
        const [, , host, , port] = this.address(transport).split('/');
        this.#flags[transport] = `${host}:${port}`;
      }
    }
    this.#flags['http'] = new URL(this.http).host;
    await this.#launch();
    const back = now();
    if (before.join() !== [...this.addresses].sort().join()) {
      throw new Error(`other addresses after a restart: ${before} ${this.addresses}`);
    }
    return back;
  }

  async end(): Promise<void> {
    await this.program.kill();
    await rm(this.data, { recursive: true, force: true });
  }

  async #launch(): Promise<void> {
    const args = ['--data-dir', this.data, '--log-format', 'json'];
    for (const [flag, value] of Object.entries(this.#flags)) {
      args.push(`--${flag}`, (this.#off as readonly string[]).includes(flag) ? 'off' : value);
    }
    this.program = new Program('moim-bootstrap', bootstrapProgram(), args);
    this.http = await this.program.pick('where it serves HTTP', ({ from, text }) => {
      if (from !== 'stdout') {
        return undefined;
      }
      const ready = JSON.parse(text) as { type?: string; http?: string[] };
      return ready.type === 'ready' ? ready.http?.[0] : undefined;
    });
    const answer = await fetch(`${this.http}/bootstrap.json`);
    const document = (await answer.json()) as { peer_id: string; addresses: string[] };
    this.peerId = document.peer_id;
    this.addresses = document.addresses;
  }
}
