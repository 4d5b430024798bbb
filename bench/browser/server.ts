import { Program } from '../../e2e/browser/harness/process.ts';
import { given } from './given.ts';

/** The native end of everything: relay, WebSocket server, and the way to signal without libp2p. */
export class Server {
  readonly #program: Program;
  readonly peerId: string;
  /** Its address for libp2p, with its peer id. */
  readonly address: string;
  /** The URL of its bare WebSocket. */
  readonly plain: string;

  private constructor(program: Program, address: string, plain: string) {
    this.#program = program;
    this.address = address;
    this.plain = plain;
    this.peerId = address.split('/').at(-1)!;
  }

  static async start(): Promise<Server> {
    const program = new Program('moim-bench', given('MOIM_BENCH_SERVER'), []);
    const { libp2p, plain } = await program.pick('where it listens', ({ from, text }) =>
      from === 'stdout' ? (JSON.parse(text) as { libp2p: string; plain: string }) : undefined,
    );
    return new Server(program, libp2p, plain);
  }

  /** The address of a peer that holds a reservation there. */
  circuit(peer: string): string {
    return `${this.address}/p2p-circuit/p2p/${peer}`;
  }

  async end(): Promise<void> {
    await this.#program.kill();
  }
}
