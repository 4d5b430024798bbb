import { expect, test } from '../harness/network.ts';
import { openChannels } from '../harness/channels.ts';
import { newTopic, PATIENCE } from '../harness/times.ts';

// The longest text there is, in a body of more than 16 KiB.
const LONG = 'x'.repeat(16_384);

// Of two thousand streams. Seen on a busy machine: one of about 20,000.
const LOST_MAX = 2;

test('a page of js-libp2p dials a page of ours, and neither notices', async ({ network }) => {
  const topic = newTopic('js-dials');
  const tab = await network.connect();
  await tab.join(topic, 'Ada');
  const js = await network.jsPeer();

  const address = `${network.node.address('ws')}/p2p-circuit/webrtc/p2p/${tab.peerId}`;
  expect(await js.dial(address)).toContain('/webrtc');
  await expect.poll(() => js.agent(tab.peerId), { timeout: PATIENCE }).toMatch(/^moim-web\//);
  expect(await js.join(topic, 'Jay', tab.peerId)).toHaveLength(2);
  await tab.sees(js.peerId);
  await tab.reachesDirectly(js.peerId);

  await js.ping(tab.peerId);
  await js.ping(tab.peerId);
  expect(await js.send(tab.peerId, LONG)).toBe('accepted');
  await tab.openDirect(js.peerId);
  await expect(tab.directMessages(js.peerId).filter({ hasText: LONG })).toBeAttached();

  await expect
    .poll(() => js.connections(tab.peerId), { timeout: PATIENCE })
    .toEqual([expect.stringContaining('/webrtc')]);
  await expect.poll(() => js.gossipsTo(tab.peerId, topic), { timeout: PATIENCE }).toBe(true);
  expect(await js.say(topic, 'to everybody')).toBe(1);
  await tab.hears(js.peerId, 'to everybody');
  await tab.say('so do I');
  await js.hears({ from: tab.peerId, text: 'so do I', room: true });
});

test('two thousand streams one after the other leave no channel behind', async ({ network }) => {
  const topic = newTopic('js-streams');
  const tab = await network.connect();
  await tab.join(topic, 'Ada');
  const js = await network.jsPeer();
  await js.dial(`${network.node.address('ws')}/p2p-circuit/webrtc/p2p/${tab.peerId}`);
  expect(await js.askForMembers(topic, tab.peerId, 2_000)).toBeLessThanOrEqual(LOST_MAX);
  // The streams of gossip stay, one each way.
  for (const page of [tab.page, js.page]) {
    await expect.poll(() => openChannels(page), { timeout: PATIENCE }).toBeLessThanOrEqual(2);
  }
});

test('a page of ours dials a page of js-libp2p, and neither notices', async ({ network }) => {
  const topic = newTopic('js-is-dialled');
  const terminal = await network.terminal(topic, 'terminal', 'ws');
  const js = await network.jsPeer();
  await js.dial(`${network.node.address('ws')}/p2p-circuit/p2p/${terminal.peerId}`);
  await js.join(topic, 'Jay', terminal.peerId);
  await terminal.sees(js.peerId);

  const tab = await network.connect();
  await tab.join(topic, 'Ada');
  await tab.sees(js.peerId);
  await tab.reachesDirectly(js.peerId);
  await expect
    .poll(() => js.connections(tab.peerId), { timeout: PATIENCE })
    .toEqual([expect.stringContaining('/webrtc')]);

  await tab.openDirect(js.peerId);
  await expect(await tab.sendDirect(LONG)).toHaveAttribute('data-state', 'delivered');
  await js.hears({ from: tab.peerId, text: LONG });
  expect(await js.send(tab.peerId, 'the other way')).toBe('accepted');
  await expect(
    tab.directMessages(js.peerId).filter({ hasText: 'the other way' }),
  ).toBeAttached();
});

test('a page of js-libp2p dials a terminal peer by WebRTC, and neither notices', async ({ network }) => {
  const topic = newTopic('js-dials-terminal');
  const terminal = await network.terminal(topic, 'terminal', 'tcp', { args: ['--listen', 'none'] });
  const js = await network.jsPeer();
  const address = `${network.node.address('ws')}/p2p-circuit/webrtc/p2p/${terminal.peerId}`;
  expect(await js.dial(address)).toContain('/webrtc');
  await js.join(topic, 'Jay', terminal.peerId);
  await terminal.sees(js.peerId);
  await terminal.reachesDirectly(js.peerId);

  await js.ping(terminal.peerId);
  expect(await js.send(terminal.peerId, LONG)).toBe('accepted');
  await terminal.hearsDirect(js.peerId, LONG);
  const since = terminal.mark();
  terminal.send(js.peerId, LONG);
  const receipt = await terminal.wait('a receipt', ({ type }) => type === 'receipt', { since });
  expect(receipt).toMatchObject({ state: 'delivered' });
  await js.hears({ from: terminal.peerId, text: LONG });

  await expect
    .poll(() => js.connections(terminal.peerId), { timeout: PATIENCE })
    .toEqual([expect.stringContaining('/webrtc')]);
  await expect
    .poll(() => js.gossipsTo(terminal.peerId, topic), { timeout: PATIENCE })
    .toBe(true);
  expect(await js.say(topic, 'to everybody')).toBe(1);
  await terminal.hears(js.peerId, 'to everybody');
  terminal.say('so do I');
  await js.hears({ from: terminal.peerId, text: 'so do I', room: true });

  expect(await js.askForMembers(topic, terminal.peerId, 2_000)).toBeLessThanOrEqual(LOST_MAX);
  // The streams of gossip stay, one each way, and those of pings.
  await expect.poll(() => openChannels(js.page), { timeout: PATIENCE }).toBeLessThanOrEqual(4);
});

test('what a page of js-libp2p says in a type of tomorrow goes through members of today', async ({ network }) => {
  // More than may be invalid of one neighbour.
  const reactions = Array.from({ length: 20 }, (_, number) => `reaction ${number}`);
  const topic = newTopic('js-later');
  const [first, second, third] = [
    await network.terminal(topic, 'first', 'tcp'),
    await network.terminal(topic, 'second', 'tcp'),
    await network.terminal(topic, 'third', 'tcp'),
  ];
  await third.sees(first.peerId);
  await third.sees(second.peerId);
  const [speaker, listener] = [await network.jsPeer(), await network.jsPeer()];
  for (const [js, member] of [[speaker, first], [listener, third]] as const) {
    const address = `${network.node.address('ws')}/p2p-circuit/webrtc/p2p/${member.peerId}`;
    expect(await js.dial(address)).toContain('/webrtc');
  }
  await listener.listen(topic);
  await speaker.join(topic, 'Jay', first.peerId, []);
  await third.sees(speaker.peerId);
  await expect.poll(() => speaker.gossipsTo(first.peerId, topic), { timeout: PATIENCE }).toBe(true);
  await expect.poll(() => listener.gossipsTo(third.peerId, topic), { timeout: PATIENCE }).toBe(true);

  for (const reaction of reactions) {
    expect(await speaker.react(topic, reaction)).toBeGreaterThan(0);
  }
  await expect
    .poll(async () => (await listener.later()).toSorted(), { timeout: PATIENCE })
    .toEqual(reactions.toSorted());
  // Nobody has lost anything by it.
  await speaker.say(topic, 'to everybody');
  for (const member of [first, second, third]) {
    await member.hears(speaker.peerId, 'to everybody');
  }
  await listener.hears({ from: speaker.peerId, text: 'to everybody', room: true });
});
