import { expect, test } from '../harness/network.ts';
import { Terminal } from '../harness/terminal.ts';
import { BACK_WITHIN, newTopic, now, PATIENCE } from '../harness/times.ts';

/** How long the bootstrap node is away, in ms. */
const AWAY = 30_000;

/** An id that nobody has. */
const STRANGER = '12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo';

const sleepUntil = (at: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, Math.max(at - now(), 0)));

test('the bootstrap node goes for 30 s and comes back under open pages', async ({ network }) => {
  const topic = newTopic('restart');
  const [tcp, quic] = [
    await network.terminal(topic, 'tcp', 'tcp'),
    await network.terminal(topic, 'quic', 'quic'),
  ];
  const tabs = [await network.connect(), await network.connect()] as const;
  await tabs[0].join(topic, 'one');
  await tabs[1].join(topic, 'two');
  for (const tab of tabs) {
    await Promise.all([tab.sees(tcp.peerId), tcp.sees(tab.peerId), quic.sees(tab.peerId)]);
    await tab.page.evaluate(() => Object.assign(window, { notReloaded: true }));
  }
  await tcp.sees(quic.peerId);
  // Messages must arrive meanwhile between those who are connected directly: wait until they are.
  for (const tab of tabs) {
    for (const terminal of [tcp, quic]) {
      await expect(tab.member(terminal.peerId)).toHaveAttribute('data-path', 'direct');
    }
  }

  const stopped = now();
  await network.node.stop();
  for (const tab of tabs) {
    await expect(tab.status).toHaveAttribute('data-state', 'reconnecting', { timeout: AWAY });
  }
  console.log(`    pages noticed after ${Math.round(now() - stopped)} ms`);
  // From the first moment on: what the lost relay carried must find its other way by itself.
  const said = [0, 1, 2, 3, 4].map((number) => `message ${number}.`);
  for (const [number, text] of said.entries()) {
    await sleepUntil(stopped + number * 1_000);
    tcp.say(text);
    quic.say(text);
  }
  await quic.hears(tcp.peerId, said.at(-1)!);
  expect(quic.heardFrom(tcp.peerId)).toEqual(said);
  for (const tab of tabs) {
    for (const from of [tcp.peerId, quic.peerId]) {
      await tab.hears(from, said.at(-1)!);
      const shown = await tab.roomMessages(from).allInnerTexts();
      expect(shown.map((text) => /message \d\./.exec(text)?.[0])).toEqual(said);
    }
    await tab.say(`still here: ${tab.peerId}`);
    await tcp.hears(tab.peerId, `still here: ${tab.peerId}`);
    await tab.openDirect(tcp.peerId);
    const sent = await tab.sendDirect('directly as well');
    await expect(sent).toHaveAttribute('data-state', 'delivered');
  }
  await network.screenshot(tabs[0], 'reconnecting');
  await sleepUntil(stopped + AWAY);

  const back = await network.node.startAgain();
  const connected = await Promise.all(tabs.map((tab) => tab.connected()));
  const took = Math.max(...connected) - back;
  console.log(`    pages are back ${Math.round(took)} ms after the node`);
  expect(took).toBeLessThanOrEqual(BACK_WITHIN);
  for (const tab of tabs) {
    expect(await tab.page.evaluate(() => 'notReloaded' in window), 'no reload').toBe(true);
  }
  // The relay carries again: page to page.
  await tabs[0].sees(tabs[1].peerId);
  await tabs[0].openDirect(tabs[1].peerId);
  const sent = await tabs[0].sendDirect('there you are');
  await expect(sent).toHaveAttribute('data-state', 'delivered', { timeout: PATIENCE });
});

test('a page opened before the bootstrap node joins when that comes', async ({ network }) => {
  await network.node.stop();
  const tab = await network.open();
  await expect(tab.status).toHaveAttribute('data-state', /^(failed|connecting|reconnecting)$/);
  const back = await network.node.startAgain();
  expect((await tab.connected()) - back).toBeLessThanOrEqual(BACK_WITHIN);
});

test('another bootstrap node is given in the address', async ({ network }) => {
  const other = await network.secondNode();
  const topic = newTopic('query');
  const terminal = await Terminal.join(topic, 'there', other.address('tcp'));
  network.terminals.push(terminal);
  for (const source of [other.address('ws'), `${other.http}/bootstrap.json`]) {
    const tab = await network.connect({ at: `/?bootstrap=${encodeURIComponent(source)}` });
    await tab.join(topic, 'Ada');
    await tab.sees(terminal.peerId);
    await tab.say(`by ${source}`);
    await terminal.hears(tab.peerId, `by ${source}`);
  }
});

test('another bootstrap node is given in the settings, and kept', async ({ network }) => {
  const other = await network.secondNode();
  const topic = newTopic('settings');
  const terminal = await Terminal.join(topic, 'there', other.address('tcp'));
  network.terminals.push(terminal);
  const tab = await network.connect();
  await tab.setBootstrap(other.address('ws'));
  await tab.connected();
  await tab.join(topic, 'Ada');
  await tab.sees(terminal.peerId);
  await tab.reload();
  await tab.join(topic, 'Ada');
  await tab.sees(terminal.peerId);
});

test('a bad bootstrap address beside a good one is named and does no harm', async ({ network }) => {
  const good = network.node.address('ws');
  const bad = [
    `/ip4/127.0.0.1/tcp/1/ws/p2p/${STRANGER}`,
    good.replace(network.node.peerId, STRANGER),
    'nonsense',
  ];
  const query = [...bad, good].map((source) => `bootstrap=${encodeURIComponent(source)}`).join('&');
  const tab = await network.connect({ at: `/?${query}` });
  await tab.openConnection();
  await expect(tab.page.getByText('nonsense').first()).toBeVisible();
  await network.screenshot(tab, 'bad-bootstrap');
});

test('with bad bootstrap addresses alone the page says why it is not in', async ({ network }) => {
  const dead = `/ip4/127.0.0.1/tcp/1/ws/p2p/${STRANGER}`;
  const tab = await network.open({ at: `/?bootstrap=${encodeURIComponent(dead)}` });
  await expect(tab.status).toHaveAttribute('data-state', 'failed', { timeout: PATIENCE });
  await network.screenshot(tab, 'failed');
  const wrong = network.node.address('ws').replace(network.node.peerId, STRANGER);
  const other = await network.open({ at: `/?bootstrap=${encodeURIComponent(wrong)}` });
  await expect(other.status).toHaveAttribute('data-state', 'failed', { timeout: PATIENCE });
  const none = await network.open({ at: '/?bootstrap=nonsense' });
  await expect(none.page.getByText('nonsense').first()).toBeVisible();
});
