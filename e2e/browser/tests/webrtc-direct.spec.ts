import { channelsSoFar, closingChannels, openChannels } from '../harness/channels.ts';
import { expect, only, test } from '../harness/network.ts';
import type { Tab } from '../harness/tab.ts';
import type { Terminal } from '../harness/terminal.ts';
import { CHANNEL_CLOSED_WITHIN, PATIENCE, SEEN_WITHIN, newTopic, now } from '../harness/times.ts';
import { VersionOne } from '../harness/version-one.ts';

/** Rooms that are joined and left: each takes dozens of streams. */
const ROOMS = 15;

/** How long a page may look for a bootstrap node that is not there, in ms. */
const FAILED_WITHIN = 15_000;

/** Two pages join a terminal peer, see it and each other, and talk in the room and directly. */
async function meetAndTalk(topic: string, terminal: Terminal, one: Tab, two: Tab): Promise<void> {
  await one.join(topic, 'one');
  await two.join(topic, 'two');
  await Promise.all([one.sees(terminal.peerId), one.sees(two.peerId), two.sees(one.peerId)]);
  await one.say('over a data channel');
  await terminal.hears(one.peerId, 'over a data channel');
  await two.hears(one.peerId, 'over a data channel');
  await two.openDirect(one.peerId);
  const sent = await two.sendDirect('directly');
  await expect(sent).toHaveAttribute('data-state', 'delivered', { timeout: PATIENCE });
}

test('a page that knows a WebRTC-direct address alone joins, talks and stays without an error', async ({
  network,
}) => {
  const topic = newTopic('webrtc-direct');
  const terminal = await network.terminal(topic, 'terminal');
  const address = network.node.address('webrtc-direct');
  const [one, two] = [await network.connect(only(address)), await network.connect(only(address))];
  await meetAndTalk(topic, terminal, one, two);
  terminal.say('I hear you');
  await one.hears(terminal.peerId, 'I hear you');

  await one.leaveRoom();
  for (let number = 0; number < ROOMS; number += 1) {
    await one.join(newTopic(`room-${number}`), 'one');
    await one.leaveRoom();
  }
  await one.join(topic, 'one');
  await one.sees(terminal.peerId);
  const opened = await channelsSoFar(one.page);
  console.log(`    ${opened} channels were opened, ${await openChannels(one.page)} are open`);
  expect(opened).toBeGreaterThan(100);
  // Gossip keeps some open with each of its neighbours, and the DHT one; the others close.
  const closing = (): Promise<number> => closingChannels(one.page);
  await expect.poll(closing, { timeout: CHANNEL_CLOSED_WITHIN + SEEN_WITHIN }).toBe(0);
  expect(await openChannels(one.page)).toBeLessThanOrEqual(12);
  for (const tab of [one, two]) {
    expect(tab.errors, 'uncaught errors of the page').toEqual([]);
    expect(tab.consoleErrors, 'errors in the console').toEqual([]);
  }
});

test('a server that speaks version 1 of WebRTC-direct alone is reached too', async ({ network }) => {
  const front = await VersionOne.start(network.node.address('webrtc-direct'));
  network.endWith(front);
  const tab = await network.connect(only(front.address));
  const topic = newTopic('version-one');
  const terminal = await network.terminal(topic, 'terminal');
  await tab.join(topic, 'Ada');
  await tab.sees(terminal.peerId);
  expect(tab.consoleErrors, 'errors in the console').toEqual([]);
});

test('a WebRTC-direct address that is wrong is named with what is wrong about it', async ({
  network,
}) => {
  const good = network.node.address('webrtc-direct');
  const stranger = '12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo';
  // The hash of nothing.
  const hash = 'uEiDjsMRCmPwcFJr79MiZb7kkJ65B5GSbk0yklZkbeFK4VQ';
  for (const [wrong, why] of [
    [good.replace(/certhash\/[^/]+/, `certhash/${hash}`), 'does not have the certificate'],
    [good.replace(network.node.peerId, stranger), 'Another peer'],
    [good.replace(/udp\/\d+/, 'udp/9'), 'No answer in time'],
  ] as const) {
    const began = now();
    const tab = await network.open(only(wrong));
    await expect(tab.status).toHaveAttribute('data-state', 'failed', { timeout: FAILED_WITHIN });
    console.log(`    ${why}: said after ${Math.round(now() - began)} ms`);
    await tab.openConnection();
    await expect(tab.page.getByText(why).first()).toBeVisible();
    expect(tab.consoleErrors, 'errors in the console').toEqual([]);
  }
});

test.describe('without WebSocket', () => {
  test.use({ off: ['ws'] });

  test('the page falls back to WebRTC-direct', async ({ network }) => {
    const topic = newTopic('webrtc');
    const terminal = await network.terminal(topic, 'terminal');
    const [one, two] = [await network.connect(), await network.connect()];
    await meetAndTalk(topic, terminal, one, two);
  });
});

test('WebRTC-direct is tried when the WebSocket that is listed is dead', async ({ network }) => {
  // A list that names a dead WebSocket first, as behind a firewall that lets only UDP through.
  const context = await network.newContext();
  await context.route('**/bootstrap.json', (route) =>
    route.fulfill({
      json: {
        peer_id: network.node.peerId,
        addresses: [
          `/ip4/127.0.0.1/tcp/1/ws/p2p/${network.node.peerId}`,
          network.node.address('webrtc-direct'),
        ],
      },
    }),
  );
  await network.connect({ context });
});
