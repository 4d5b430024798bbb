import { writeFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import {
  test as base,
  expect,
  type BrowserContext,
  type BrowserContextOptions,
} from '@playwright/test';
import { BootstrapNode, type NodeOptions, type Transport } from './bootstrap-node.ts';
import { countChannels } from './channels.ts';
import { JsPeer } from './js-peer.ts';
import { artefacts } from './programs.ts';
import { Site } from './site.ts';
import { Tab } from './tab.ts';
import { Terminal, type TerminalOptions } from './terminal.ts';

/** Names of this machine in URLs. Terminal peers listen on every interface, and pages dial them. */
const OWN_HOSTS = new Set([
  'localhost',
  ...Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .map(({ address, family }) => (family === 'IPv6' ? `[${address}]` : address)),
]);

/** How a tab is opened. */
export interface TabOptions extends BrowserContextOptions {
  /** An open context: tabs in one context share what the browser keeps. */
  context?: BrowserContext;
  /** Query and fragment of the address. */
  at?: string;
}

/** Opens the page with one bootstrap node and no other. */
export const only = (source: string): TabOptions => ({
  at: `/?bootstrap=${encodeURIComponent(source)}`,
});

/** One test's network: a bootstrap node, the page's server, and whoever the test starts. */
export class Network {
  readonly node: BootstrapNode;
  readonly site: Site;
  readonly tabs: Tab[] = [];
  readonly terminals: Terminal[] = [];
  readonly #contexts: BrowserContext[] = [];
  readonly #requests: string[] = [];
  readonly #also: { end(): Promise<void> }[] = [];
  readonly #newContext: (options: BrowserContextOptions) => Promise<BrowserContext>;

  constructor(
    node: BootstrapNode,
    site: Site,
    newContext: (options: BrowserContextOptions) => Promise<BrowserContext>,
  ) {
    this.node = node;
    this.site = site;
    this.#newContext = newContext;
  }

  async newContext(options: BrowserContextOptions = {}): Promise<BrowserContext> {
    const context = await this.#newContext({
      baseURL: this.site.url,
      locale: 'en-US',
      viewport: { width: 1280, height: 800 },
      ...options,
    });
    context.on('request', (request) => this.#requests.push(request.url()));
    context.on('page', (page) => {
      page.on('websocket', (socket) => this.#requests.push(socket.url()));
    });
    this.#contexts.push(context);
    return context;
  }

  /** Opens the page, in a browser context of its own unless one is given. */
  async open({ context, at = '/', ...options }: TabOptions = {}): Promise<Tab> {
    const tab = new Tab(await (context ?? (await this.newContext(options))).newPage());
    await countChannels(tab.page);
    this.tabs.push(tab);
    await tab.page.goto(this.site.url + at);
    return tab;
  }

  /** Opens the page and waits until its peer is in the DHT. */
  async connect(options: TabOptions = {}): Promise<Tab> {
    const tab = await this.open(options);
    await tab.connected();
    await tab.readPeerId();
    return tab;
  }

  async terminal(
    topic: string,
    name: string,
    transport: Transport = 'tcp',
    options: TerminalOptions = {},
    node = this.node,
  ): Promise<Terminal> {
    const terminal = await Terminal.join(topic, name, node.address(transport), options);
    this.terminals.push(terminal);
    return terminal;
  }

  /** A member written with js-libp2p, in a page of its own. */
  async jsPeer(): Promise<JsPeer> {
    const page = await (await this.newContext()).newPage();
    return await JsPeer.start(page, this.site.url, this.node.address('ws'));
  }

  /** A second bootstrap node, ended with the rest. */
  async secondNode({ off, ...options }: NodeOptions = {}): Promise<BootstrapNode> {
    const node = await BootstrapNode.start(off, options);
    this.endWith(node);
    return node;
  }

  /** Ends this too when the test is over. */
  endWith(it: { end(): Promise<void> }): void {
    this.#also.push(it);
  }

  /** Keeps a picture of a state of the page, to be looked at. */
  async screenshot(tab: Tab, name: string): Promise<void> {
    await tab.page.screenshot({ path: join(artefacts, `${name}.png`), animations: 'disabled' });
  }

  /** What must hold at the end of every test. */
  check(): void {
    for (const tab of this.tabs) {
      expect(tab.errors, 'uncaught errors of the page').toEqual([]);
      const panics = tab.console.filter((line) => /panicked/.test(line));
      expect(panics, 'panics of the page').toEqual([]);
    }
    const outside = this.#requests.filter((url) => {
      const { protocol, hostname } = new URL(url);
      return !OWN_HOSTS.has(hostname) && !['data:', 'blob:'].includes(protocol);
    });
    expect(outside, 'requests that leave this machine').toEqual([]);
  }

  /** Everything the processes and pages said, by name. */
  logs(): [string, string][] {
    return [
      ['moim-bootstrap', this.node.program.log()],
      ...this.terminals.map(({ name, program }): [string, string] => [name, program.log()]),
      ...this.tabs.map(({ errors, console }, number): [string, string] => [
        `tab ${number + 1}`,
        [...errors, ...console].join('\n'),
      ]),
    ];
  }

  async end(): Promise<void> {
    for (const context of this.#contexts) {
      await context.close();
    }
    const everything = [...this.terminals, ...this.#also, this.node, this.site];
    await Promise.all(everything.map((it) => it.end()));
  }
}

interface Options {
  /** Transports that the bootstrap node does not offer. */
  off: Transport[];
  /** Further arguments of the bootstrap node. */
  args: string[];
}

/** The test function with a network for each test. */
export const test = base.extend<Options & { network: Network }>({
  off: [[], { option: true }],
  args: [[], { option: true }],
  network: async ({ browser, off, args }, use, info) => {
    const node = await BootstrapNode.start(off, { args });
    const site = await Site.start(() => node.http);
    const network = new Network(node, site, (options) => browser.newContext(options));
    try {
      await use(network);
      if (info.status === info.expectedStatus) {
        network.check();
      }
    } finally {
      if (info.status !== info.expectedStatus) {
        for (const [name, body] of network.logs()) {
          const path = info.outputPath(`${name}.log`);
          await writeFile(path, body);
          await info.attach(`${name}.log`, { path });
        }
        for (const [number, { page }] of network.tabs.entries()) {
          const path = info.outputPath(`tab-${number + 1}.png`);
          await page.screenshot({ path, timeout: 5_000 }).catch(() => {});
        }
      }
      await network.end();
    }
  },
});

export { expect };
