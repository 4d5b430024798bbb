import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import AxeBuilder from '@axe-core/playwright';
import type { BrowserContextOptions, Locator } from '@playwright/test';
import { Forwarding } from '../harness/forwarding.ts';
import { expect, type Network, test } from '../harness/network.ts';
import { artefacts } from '../harness/programs.ts';
import { Tab } from '../harness/tab.ts';
import { newTopic } from '../harness/times.ts';

/** An opened dashboard. */
class Dashboard {
  readonly tab: Tab;

  private constructor(tab: Tab) {
    this.tab = tab;
  }

  /** Opens it; what its policy forbids is an error of the page. */
  static async open(
    network: Network,
    at = network.node.http,
    options: BrowserContextOptions = {},
  ): Promise<Dashboard> {
    const context = await network.newContext(options);
    await context.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => {
        throw new Error(`violation of ${violatedDirective}: ${blockedURI}`);
      });
    });
    const tab = new Tab(await context.newPage());
    network.tabs.push(tab);
    await tab.page.goto(`${at}/admin`);
    return new Dashboard(tab);
  }

  get state(): Locator {
    return this.tab.page.getByRole('status');
  }

  /** A number or fact by its key. */
  value(key: string): Locator {
    return this.tab.page.locator(`[data-key="${key}"] dd`);
  }

  rows(section: string): Locator {
    return this.tab.page.locator(`#${section} tr`);
  }

  /** Looks for what people with other eyes than ours would stumble over. */
  async look(name: string): Promise<void> {
    const { page } = this.tab;
    await page.screenshot({ path: join(artefacts, `${name}.png`), fullPage: true });
    const overflow = await page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    );
    expect(overflow, `${name} scrolls sideways`).toBe(0);
    const { violations } = await new AxeBuilder({ page }).analyze();
    const found = violations.map(
      ({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(' ')}`,
    );
    expect(found, `axe on ${name}`).toEqual([]);
  }
}

const VIEWS = (['light', 'dark'] as const).flatMap((colorScheme) =>
  [360, 1280].map((width) => ({ colorScheme, width })),
);

/** The key of a topic in the DHT, as docs/protocol.md has it. */
const keyOf = (topic: string): string =>
  `1220${createHash('sha256').update(`/moim/topic/1/${topic}`).digest('hex')}`;

test('the dashboard follows who comes and goes', async ({ network }) => {
  const dashboard = await Dashboard.open(network);
  await expect(dashboard.state).toHaveText('Ready');
  await expect(dashboard.value('peers')).toHaveText('0');
  await expect(dashboard.value('peer-id')).toHaveText(network.node.peerId);
  await expect(dashboard.rows('peers')).toHaveCount(0);

  const topic = newTopic('admin');
  const terminal = await network.terminal(topic, 'there', 'tcp');
  const tabs = [await network.connect(), await network.connect()] as const;
  for (const tab of tabs) {
    await tab.join(topic, 'Ada');
    await tab.sees(terminal.peerId);
  }
  await tabs[0].sees(tabs[1].peerId);

  await expect(dashboard.value('peers')).toHaveText('3');
  await expect(dashboard.value('topics')).toHaveText('1');
  await expect(dashboard.rows('topics')).toHaveText([`3${keyOf(topic)}`]);
  for (const [peer, transport] of [
    [terminal.peerId, /^tcp, inbound$/],
    [tabs[0].peerId, /^(ws|webrtc-direct), inbound$/],
    [tabs[1].peerId, /^(ws|webrtc-direct), inbound$/],
  ] as const) {
    const row = dashboard.rows('peers').filter({ hasText: peer }).first();
    await expect(row.locator('td').nth(1)).toHaveText(transport);
    await expect(row.locator('td').nth(4)).toContainText('moim');
  }
  // Pages cannot be dialled, so they hold reservations.
  const page = dashboard.rows('peers').filter({ hasText: tabs[0].peerId }).first();
  await expect(page.locator('td').last()).toHaveText('yes');
  const tcp = dashboard.rows('transports').filter({ hasText: /^tcp/ });
  await expect(tcp.locator('td').nth(1)).toHaveText('1');
  const asked = dashboard.rows('rates').filter({ hasText: 'DHT requests' });
  await expect(asked.locator('td').nth(1)).not.toHaveText('0');

  await terminal.leave();
  await expect(dashboard.value('peers')).toHaveText('2');
  const gone = dashboard.rows('peers').filter({ hasText: terminal.peerId });
  await expect(gone).toHaveCount(0);
  await expect(tcp.locator('td').nth(1)).toHaveText('0');
  await expect(dashboard.rows('topics')).toHaveText([`2${keyOf(topic)}`]);

  // Who is blocked is listed, and gone.
  await writeFile(join(network.node.data, 'blocked.txt'), `192.0.2.0/24\n${tabs[1].peerId}\n`);
  await expect(dashboard.rows('blocked')).toHaveText([tabs[1].peerId, '192.0.2.0/24'].sort());
  await expect(dashboard.value('peers')).toHaveText('1');
  const refused = dashboard.rows('refusals').filter({ hasText: 'blocked' });
  await expect(refused.locator('td').last()).not.toHaveText('0');
  expect(dashboard.tab.consoleErrors).toEqual([]);

  for (const { colorScheme, width } of VIEWS) {
    await dashboard.tab.page.emulateMedia({ colorScheme });
    await dashboard.tab.page.setViewportSize({ width, height: 800 });
    await dashboard.look(`admin-${colorScheme}-${width}`);
  }
});

test('from elsewhere the dashboard is shown for the token alone', async ({ network }) => {
  const proxy = await Forwarding.start(network.node.http, (headers) => ({
    ...headers,
    'x-forwarded-for': '192.0.2.1',
  }));
  network.endWith(proxy);
  const dashboard = await Dashboard.open(network, proxy.url);
  const { page } = dashboard.tab;
  const input = page.getByLabel('Token');
  await expect(input).toBeFocused();
  await expect(page.getByText(network.node.peerId)).toHaveCount(0);
  for (const { colorScheme, width } of VIEWS) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height: 800 });
    await dashboard.look(`admin-locked-${colorScheme}-${width}`);
  }

  // With the keyboard alone.
  for (const wrong of ['0'.repeat(64), 'wörter']) {
    await page.keyboard.type(wrong);
    await page.keyboard.press('Enter');
    await expect(page.getByRole('alert')).toHaveText('That is not the token of this node.');
    await expect(input).toBeFocused();
    await expect(input).toHaveValue('');
  }
  await dashboard.look('admin-refused');
  const token = (await readFile(join(network.node.data, 'admin.token'), 'utf8')).trim();
  await page.keyboard.type(token);
  await page.keyboard.press('Enter');
  await expect(dashboard.value('peer-id')).toHaveText(network.node.peerId);
  await expect(input).toBeHidden();
  await page.reload();
  await expect(dashboard.value('peer-id')).toHaveText(network.node.peerId);
  expect(page.url()).toBe(`${proxy.url}/admin`);
  // Another tab knows nothing of it.
  const other = await Dashboard.open(network, proxy.url);
  await expect(other.tab.page.getByLabel('Token')).toBeVisible();
});

test('a name that leads to this machine is no way in', async ({ network }) => {
  // What a page at rebound.example does whose name has come to mean 127.0.0.1.
  const proxy = await Forwarding.start(network.node.http, (headers) => ({
    ...headers,
    host: 'rebound.example',
  }));
  network.endWith(proxy);
  const dashboard = await Dashboard.open(network, proxy.url);
  await expect(dashboard.tab.page.getByLabel('Token')).toBeVisible();
  // And what any other page may do: nothing.
  const other = await network.open();
  const read = await other.page.evaluate(async (url) => {
    const answer = await fetch(url).catch(() => undefined);
    return answer?.status;
  }, `${network.node.http}/admin/status.json`);
  expect(read).toBeUndefined();
});

test('a dashboard whose node goes away says so, and goes on when it is back', async ({
  network,
}) => {
  const dashboard = await Dashboard.open(network);
  await expect(dashboard.state).toHaveText('Ready');
  await network.node.stop();
  await expect(dashboard.state).toContainText('has not answered');
  await dashboard.look('admin-lost');
  await network.node.startAgain();
  await expect(dashboard.state).toHaveText('Ready');
});
