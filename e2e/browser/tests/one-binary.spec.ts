import { copyFile, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import AxeBuilder from '@axe-core/playwright';
import type { Locator } from '@playwright/test';
import { BootstrapNode, type NodeOptions } from '../harness/bootstrap-node.ts';
import { expect, type Network, test } from '../harness/network.ts';
import { bootstrapProgram, pageFolder } from '../harness/programs.ts';
import { pairs, relayedOnly } from '../harness/relayed-only.ts';
import { Tab } from '../harness/tab.ts';
import { Terminal } from '../harness/terminal.ts';
import { newTopic } from '../harness/times.ts';

/** Starts a node that is ended with the rest. */
async function start(network: Network, options: NodeOptions): Promise<BootstrapNode> {
  const node = await BootstrapNode.start([], options);
  network.endWith(node);
  return node;
}

/** Opens the page that a node serves; what its policy forbids is an error of the page. */
async function open(network: Network, node: BootstrapNode, needsTurn: boolean): Promise<Tab> {
  const context = await network.newContext();
  if (needsTurn) {
    await context.addInitScript(relayedOnly, undefined);
  }
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      const { violatedDirective, blockedURI, sourceFile, lineNumber } = event;
      const where = `${sourceFile}:${lineNumber}`;
      console.error(`violation of ${violatedDirective}: ${blockedURI} at ${where}`);
    });
  });
  const tab = new Tab(await context.newPage());
  network.tabs.push(tab);
  await tab.page.goto(node.http);
  return tab;
}

/** Two pages of a node and a terminal peer meet and talk, and the browser has no complaint. */
async function meet(network: Network, node: BootstrapNode, needsTurn = false): Promise<Tab> {
  const topic = newTopic('one-binary');
  const terminal = await Terminal.join(topic, 'there', node.address('tcp'));
  network.terminals.push(terminal);
  const tabs = [
    await open(network, node, needsTurn),
    await open(network, node, needsTurn),
  ] as const;
  for (const tab of tabs) {
    await tab.connected();
    await tab.readPeerId();
    await tab.join(topic, 'Ada');
    await tab.sees(terminal.peerId);
  }
  await tabs[0].sees(tabs[1].peerId);
  await tabs[0].reaches(tabs[1].peerId, needsTurn ? 'turn' : 'direct');
  await tabs[0].talkTo(tabs[1]);
  await terminal.hears(tabs[0].peerId, `room, ${tabs[0].peerId}`);
  for (const tab of tabs) {
    expect(tab.consoleErrors, 'errors in the console').toEqual([]);
  }
  return tabs[0];
}

test('one binary in an empty folder is all it takes, for pages that need TURN too', async ({
  network,
}) => {
  const folder = await mkdtemp(join(tmpdir(), 'moim-e2e-'));
  const program = join(folder, 'moim-bootstrap');
  await copyFile(bootstrapProgram(), program);
  expect(await readdir(folder)).toEqual(['moim-bootstrap']);
  try {
    const node = await start(network, { program, args: ['--turn', 'on'] });
    const index = await (await fetch(node.http)).text();
    const wasm = /\/[\w-]+_bg\.wasm/.exec(index)?.[0];
    expect(wasm, `a page in ${bootstrapProgram()}; \`cargo xtask test browser\` puts one there`).toBeDefined();
    const tab = await meet(network, node, true);
    await network.screenshot(tab, 'one-binary');
    expect(await pairs(tab)).toContainEqual('relay relay');
    // What it says of itself is what has happened.
    const turn = (name: string): Promise<number> => node.metric(`moim_bootstrap_turn_${name}`);
    expect(await turn('bytes_total{direction="ToPeer"}')).toBeGreaterThan(0);
    await expect.poll(() => node.metric('moim_bootstrap_dht_providers')).toBe(3);
    const dashboard = await (await network.newContext()).newPage();
    await dashboard.goto(`${node.http}/admin`);
    const fact = (key: string): Locator => dashboard.locator(`[data-key="${key}"] dd`);
    await expect(fact('peers')).toHaveText('3');
    await expect(fact('topics')).toHaveText('1');
    await expect(fact('turn-ports')).toHaveText(String(await turn('allocations')));
    await expect(fact('turn-ports')).not.toHaveText('0');
    await dashboard.close();
    // Another time the browser asks for the index alone, and has it already.
    await tab.reload();
    const sent = await tab.page.evaluate(() => {
      const entries = [
        ...performance.getEntriesByType('navigation'),
        ...performance.getEntriesByType('resource'),
      ] as PerformanceResourceTiming[];
      return entries.map(({ name, transferSize }) => ({ name, transferSize }));
    });
    const hashed = sent.filter(({ name }) => /[0-9a-f]{12,16}/.test(name));
    expect(hashed.length).toBeGreaterThan(3);
    expect(hashed.filter(({ transferSize }) => transferSize !== 0)).toEqual([]);
    // What Chromium says of an answer without a body.
    expect(sent[0]?.transferSize).toBe(300);
    const packed = await fetch(`${node.http}${wasm}`, { headers: { 'accept-encoding': 'br' } });
    expect(packed.headers.get('content-encoding')).toBe('br');
    expect(packed.headers.get('content-type')).toBe('application/wasm');
    expect(packed.headers.get('cache-control')).toContain('immutable');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test('another build of the page is served from its folder', async ({ network }) => {
  const node = await start(network, { args: ['--web', pageFolder()] });
  await meet(network, node);
});

test('a node without the page says what it is, for everybody', async ({ network }) => {
  const node = await start(network, { args: ['--web', 'off'] });
  for (const colorScheme of ['light', 'dark'] as const) {
    const context = await network.newContext({ colorScheme, viewport: { width: 360, height: 740 } });
    const page = await context.newPage();
    await page.goto(node.http);
    const heading = page.getByRole('heading', { level: 1 });
    await expect(heading).toHaveText('This is a Moim bootstrap node');
    // The style in the document is allowed.
    const margin = await page.evaluate(() => getComputedStyle(document.body).paddingLeft);
    expect(margin).toBe('16px');
    const overflow = await page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    );
    expect(overflow).toBe(0);
    const { violations } = await new AxeBuilder({ page }).analyze();
    expect(violations.map(({ id, help }) => `${id}: ${help}`)).toEqual([]);
    await network.screenshot(new Tab(page), `no-page-${colorScheme}`);
  }
});
