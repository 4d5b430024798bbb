import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Program } from './process.ts';
import { moimProgram } from './programs.ts';
import { now, PATIENCE, type Way } from './times.ts';

/** One event as the peer printed it. */
export interface PeerEvent {
  readonly at: number;
  readonly type: string;
  readonly [field: string]: unknown;
}

/** What else a terminal peer is started with. */
export interface TerminalOptions {
  /** Arguments besides the usual ones. */
  readonly args?: readonly string[];
  /** The private key that it is to have, as a page keeps it and as it stands in `identity.key`. */
  readonly key?: Uint8Array;
  /** A program that is to start it, with its arguments: in another network, say. */
  readonly through?: readonly string[];
}

/** A `moim join --json`. */
export class Terminal {
  readonly name: string;
  readonly #data: string;
  readonly program: Program;
  peerId = '';

  private constructor(name: string, data: string, program: Program) {
    this.name = name;
    this.#data = data;
    this.program = program;
  }

  static async join(
    topic: string,
    name: string,
    bootstrap: string,
    { args = [], key, through = [] }: TerminalOptions = {},
  ): Promise<Terminal> {
    const data = await mkdtemp(join(tmpdir(), 'moim-e2e-'));
    if (key !== undefined) {
      await writeFile(join(data, 'identity.key'), key, { mode: 0o600 });
    }
    const own = ['join', topic, '--json', '--name', name, '--data-dir', data];
    const command = [...through, moimProgram(), ...own, '--bootstrap', bootstrap, ...args];
    const program = new Program(name, command[0]!, command.slice(1));
    const terminal = new Terminal(name, data, program);
    const ready = await terminal.wait('ready', (event) => event.type === 'ready');
    terminal.peerId = String(ready['peer_id']);
    return terminal;
  }

  /** Where `wait` starts to look at what happens from now on. */
  mark(): number {
    return this.program.lines.length;
  }

  /** Waits for an event, from the start on unless `since` says otherwise. */
  wait(
    what: string,
    is: (event: PeerEvent) => boolean,
    options: { within?: number; since?: number } = {},
  ): Promise<PeerEvent> {
    return this.program.pick(
      what,
      ({ at, from, text }) => {
        if (from !== 'stdout') {
          return undefined;
        }
        const event = { ...JSON.parse(text), at } as PeerEvent;
        return is(event) ? event : undefined;
      },
      options,
    );
  }

  events(type: string): PeerEvent[] {
    return this.program.lines
      .filter((line) => line.from === 'stdout')
      .map((line) => ({ ...JSON.parse(line.text), at: line.at }) as PeerEvent)
      .filter((event) => event.type === type);
  }

  command(command: object): void {
    this.program.write(`${JSON.stringify(command)}\n`);
  }

  say(text: string): void {
    this.command({ cmd: 'say', text });
  }

  send(to: string, text: string): void {
    this.command({ cmd: 'send', to, text });
  }

  /** Waits until `peer` is a member; answers when it was, in ms. */
  async sees(peer: string, within = PATIENCE): Promise<number> {
    const joined = await this.wait(
      `${peer} joins`,
      (event) => event.type === 'member_joined' && event['peer'] === peer,
      { within },
    );
    return joined.at;
  }

  /** Waits until `peer` is gone; answers with the event. */
  loses(peer: string, since: number, within = PATIENCE): Promise<PeerEvent> {
    return this.wait(
      `${peer} is gone`,
      (event) => event.type === 'member_left' && event['peer'] === peer,
      { since, within },
    );
  }

  /** Waits until a member is reached by this way. */
  async reaches(peer: string, way: Way): Promise<void> {
    await this.wait(
      `${peer} is reached by the way "${way}"`,
      (event) =>
        ['member_joined', 'member_updated'].includes(event.type) &&
        event['peer'] === peer &&
        event['path'] === way,
    );
  }

  /** Waits until a member is connected directly. */
  async reachesDirectly(peer: string): Promise<void> {
    await this.reaches(peer, 'direct');
  }

  /** The open connections to a peer, as this one describes them. */
  async connections(peer: string): Promise<Record<string, unknown>[]> {
    const since = this.mark();
    this.command({ cmd: 'connections' });
    const answer = await this.wait('connections', ({ type }) => type === 'connections', { since });
    const rows = answer['connections'] as Record<string, unknown>[];
    return rows.filter((row) => row['peer'] === peer);
  }

  hears(from: string, text: string): Promise<PeerEvent> {
    return this.wait(
      `"${text}" in the room`,
      (event) => event.type === 'room_message' && event['from'] === from && event['text'] === text,
    );
  }

  /** Waits for a direct message, which is printed a moment after its receipt has gone out. */
  hearsDirect(from: string, text: string): Promise<PeerEvent> {
    return this.wait(
      `"${text}" for it alone`,
      (event) =>
        event.type === 'direct_message' && event['from'] === from && event['text'] === text,
    );
  }

  /** The texts of the direct messages from `from`. */
  heardDirectlyFrom(from: string): string[] {
    return this.events('direct_message')
      .filter((event) => event['from'] === from)
      .map((event) => String(event['text']));
  }

  /** The texts heard in the room from `from`. */
  heardFrom(from: string): string[] {
    return this.events('room_message')
      .filter((event) => event['from'] === from)
      .map((event) => String(event['text']));
  }

  /** Leaves; answers when it was told to, in ms. */
  async leave(): Promise<number> {
    const asked = now();
    this.command({ cmd: 'leave' });
    await this.program.ended();
    return asked;
  }

  async end(): Promise<void> {
    await this.program.kill();
    await rm(this.#data, { recursive: true, force: true });
  }
}
