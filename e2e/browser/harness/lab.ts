import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { chmod, mkdtemp, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { promisify } from 'node:util';
import { type Browser, chromium } from '@playwright/test';
import { CHROMIUM, CHROMIUM_ARGS } from './chromium.ts';
import { Program } from './process.ts';
import { bootstrapProgram, pageFolder } from './programs.ts';
import { TYPES } from './site.ts';
import { Tab } from './tab.ts';
import { Terminal } from './terminal.ts';

const execute = promisify(execFile);

/** How a NAT maps what goes out: always to the same port, or to a new one for every destination. */
export type Nat = 'cone' | 'symmetric';

type Side = 'a' | 'b';
const SIDES: readonly Side[] = ['a', 'b'];

/** One end of a cable: place, name of the interface, address. */
type End = readonly [string, string, string];

/** Where the bootstrap node is, in the middle. */
const NODE = '192.0.2.1';

/** The page's address behind a NAT; nobody serves it, the harness answers in the browser. */
const PAGE = 'http://localhost:8080';

/** A host of the one lan in which all are, where there are no NATs. */
const inOneLan = (host: number): string => `192.168.77.${host}`;

/**
 * lan a – NAT – internet – NAT – lan b, each a network namespace without a name, so that nothing
 * is left of it. A bootstrap node is in the middle, a browser or a terminal peer in each lan. Or all
 * three are in one lan, and nothing else. Needs root.
 */
export class Lab {
  readonly #folder: string;
  readonly #places = new Map<string, ChildProcess>();
  readonly #browsers: Browser[] = [];
  readonly tabs: Tab[] = [];
  readonly terminals: Terminal[] = [];
  node!: Program;
  #ready!: { peer_id: string; addresses: string[]; http: string[] };
  /** Where the page is opened: the node's own address, or `PAGE`. */
  #page = PAGE;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Builds it, with further flags of the bootstrap node. */
  static async build(
    nats: Readonly<Record<Side, Nat>>,
    flags: readonly string[] = [],
  ): Promise<Lab> {
    return await Lab.#built((lab) => lab.#build(nats, flags));
  }

  /** Builds one lan with all in it. The node serves the page. */
  static async lan(): Promise<Lab> {
    return await Lab.#built((lab) => lab.#buildLan());
  }

  static async #built(build: (lab: Lab) => Promise<void>): Promise<Lab> {
    const lab = new Lab(await mkdtemp(join(tmpdir(), 'moim-lab-')));
    try {
      await build(lab);
    } catch (error) {
      await lab.end();
      throw error;
    }
    return lab;
  }

  /** Opens the page on one side and waits until its peer is in the DHT. */
  async connect(side: Side): Promise<Tab> {
    const script = join(this.#folder, `chromium-${side}`);
    const enter = this.#enter(`lan-${side}`).join(' ');
    await writeFile(script, `#!/bin/sh\nexec ${enter} ${CHROMIUM} "$@"\n`);
    await chmod(script, 0o755);
    const browser = await chromium.launch({ executablePath: script, args: [...CHROMIUM_ARGS] });
    this.#browsers.push(browser);
    const context = await browser.newContext({ locale: 'en-US' });
    await context.route(`${PAGE}/**`, async (route) => {
      const { pathname } = new URL(route.request().url());
      if (pathname === '/bootstrap.json') {
        await route.fulfill({ json: this.#ready });
        return;
      }
      const file = join(pageFolder(), pathname === '/' ? 'index.html' : pathname);
      await route.fulfill({ body: await readFile(file), contentType: TYPES[extname(file)] ?? '' });
    });
    const tab = new Tab(await context.newPage());
    this.tabs.push(tab);
    await tab.page.goto(this.#page);
    await tab.connected();
    await tab.readPeerId();
    return tab;
  }

  /** Starts a terminal peer on one side. */
  async terminal(side: Side, topic: string): Promise<Terminal> {
    const address = this.#ready.addresses[0]!;
    const bootstrap = address.includes('/p2p/') ? address : `${address}/p2p/${this.#ready.peer_id}`;
    const through = this.#enter(`lan-${side}`);
    const terminal = await Terminal.join(topic, `behind ${side}`, bootstrap, { through });
    this.terminals.push(terminal);
    return terminal;
  }

  /** Has the network lose so many datagrams of a thousand from now on. */
  async lose(datagrams: number): Promise<void> {
    const rules = `table inet loss {
      chain through {
        type filter hook forward priority filter; policy accept;
        meta l4proto udp numgen random mod 1000 < ${datagrams} drop;
      }
    }`;
    await this.#load('internet', 'loss', rules);
  }

  async end(): Promise<void> {
    for (const terminal of this.terminals) {
      await terminal.end();
    }
    for (const browser of this.#browsers) {
      await browser.close();
    }
    await this.node?.kill();
    for (const place of this.#places.values()) {
      place.kill('SIGKILL');
    }
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #build(nats: Readonly<Record<Side, Nat>>, flags: readonly string[]): Promise<void> {
    for (const place of ['internet', ...SIDES.flatMap((side) => [`lan-${side}`, `nat-${side}`])]) {
      await this.#place(place);
    }
    await this.#run('internet', 'ip', 'address', 'add', `${NODE}/32`, 'dev', 'lo');
    await this.#forward('internet');
    for (const [number, side] of SIDES.entries()) {
      const [lan, nat] = [`lan-${side}`, `nat-${side}`];
      const inside = (host: number): string => `10.${number + 1}.0.${host}`;
      const outside = (host: number): string => `203.0.113.${number * 16 + host}`;
      await this.#link([lan, 'uplink', inside(2)], [nat, 'lan', inside(1)]);
      await this.#link([nat, 'wan', outside(2)], ['internet', `to-${side}`, outside(1)]);
      await this.#run(lan, 'ip', 'route', 'add', 'default', 'via', inside(1));
      await this.#run(nat, 'ip', 'route', 'add', 'default', 'via', outside(1));
      await this.#forward(nat);
      await this.#translate(nat, nats[side]);
    }
    await this.#start(NODE, ['ws', 'http', 'stun'], flags);
  }

  async #buildLan(): Promise<void> {
    const node = inOneLan(1);
    await this.#place('internet');
    await this.#run('internet', 'ip', 'link', 'add', 'lan', 'type', 'bridge');
    await this.#run('internet', 'ip', 'address', 'add', `${node}/24`, 'dev', 'lan');
    await this.#run('internet', 'ip', 'link', 'set', 'lan', 'up');
    for (const [number, side] of SIDES.entries()) {
      const [lan, port, address] = [`lan-${side}`, `to-${side}`, inOneLan(number + 2)];
      await this.#place(lan);
      const peer = ['peer', 'name', port, 'netns', this.#pid('internet')];
      await this.#run(lan, 'ip', 'link', 'add', 'uplink', 'type', 'veth', ...peer);
      await this.#run(lan, 'ip', 'address', 'add', `${address}/24`, 'dev', 'uplink');
      await this.#run(lan, 'ip', 'link', 'set', 'uplink', 'up');
      await this.#run('internet', 'ip', 'link', 'set', port, 'master', 'lan', 'up');
    }
    await this.#start(node, ['tcp', 'ws', 'http', 'stun'], ['--web', pageFolder()]);
    this.#page = this.#ready.http[0]!;
  }

  /** Starts the node at this address, with these transports. */
  async #start(host: string, on: readonly string[], flags: readonly string[]): Promise<void> {
    const args = ['tcp', 'quic', 'webrtc-direct', 'ws', 'http', 'stun'].flatMap((flag) => [
      `--${flag}`,
      on.includes(flag) ? `${host}:0` : 'off',
    ]);
    const [program, ...enter] = this.#enter('internet');
    this.node = new Program('moim-bootstrap', program!, [
      ...enter,
      bootstrapProgram(),
      ...['--data-dir', join(this.#folder, 'node'), '--log-format', 'json'],
      ...args,
      ...flags,
    ]);
    this.#ready = await this.node.pick('that it is ready', ({ from, text }) =>
      from === 'stdout' ? JSON.parse(text) : undefined,
    );
  }

  /** A network namespace, held by a process that does nothing. */
  async #place(name: string): Promise<void> {
    const place = spawn('unshare', ['--net', 'sleep', 'infinity'], { stdio: 'ignore' });
    this.#places.set(name, place);
    await new Promise((resolve, reject) => place.once('spawn', resolve).once('error', reject));
    const ours = await readlink('/proc/self/ns/net');
    // `unshare` is `sleep` a moment after it has made the namespace.
    while ((await readlink(`/proc/${place.pid}/ns/net`)) === ours) {
      if (place.exitCode !== null) {
        throw new Error('no network namespace can be made: this needs root');
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    await this.#run(name, 'ip', 'link', 'set', 'lo', 'up');
  }

  #pid(place: string): string {
    return String(this.#places.get(place)!.pid);
  }

  #enter(place: string): string[] {
    return ['nsenter', '--target', this.#pid(place), '--net'];
  }

  async #run(place: string, ...command: string[]): Promise<void> {
    const [program, ...args] = [...this.#enter(place), ...command];
    await execute(program!, args);
  }

  /** A cable between two places, each with its end's name and address. */
  async #link(one: End, two: End): Promise<void> {
    const [place, name] = one;
    const peer = ['peer', 'name', two[1], 'netns', this.#pid(two[0])];
    await this.#run(place, 'ip', 'link', 'add', name, 'type', 'veth', ...peer);
    for (const [place, name, address] of [one, two]) {
      await this.#run(place, 'ip', 'address', 'add', `${address}/28`, 'dev', name);
      await this.#run(place, 'ip', 'link', 'set', name, 'up');
    }
  }

  async #forward(place: string): Promise<void> {
    await this.#run(place, 'sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward');
  }

  /**
   * What a home router does. Without the input chain the kernel would remember the other side's
   * first packets, which come too early, and map ours to another port because of them.
   */
  async #translate(place: string, nat: Nat): Promise<void> {
    const ports = nat === 'symmetric' ? 'random,fully-random' : '';
    const rules = `table ip nat {
      chain out { type nat hook postrouting priority srcnat; oifname "wan" masquerade ${ports}; }
      chain in {
        type filter hook input priority filter; policy accept;
        iifname "wan" ct state established,related accept; iifname "wan" drop;
      }
      chain through {
        type filter hook forward priority filter; policy drop;
        iifname "lan" accept; ct state established,related accept;
      }
    }`;
    await this.#load(place, 'nat', rules);
  }

  async #load(place: string, name: string, rules: string): Promise<void> {
    const file = join(this.#folder, `${place}-${name}.nft`);
    await writeFile(file, rules);
    await this.#run(place, 'nft', '--file', file);
  }
}
