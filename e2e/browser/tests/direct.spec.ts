import { expect, test } from '../harness/network.ts';
import { becomeDirect, newTopic, now, PATIENCE } from '../harness/times.ts';

/** How long two pages on one machine may take from seeing each other to being connected directly. */
const DIRECT_WITHIN = 2_000;

test('two pages are connected directly soon after they see each other', async ({ network }) => {
  const topic = newTopic('direct-pages');
  const [one, two] = [await network.connect(), await network.connect()];
  await one.join(topic, 'Ada');
  await two.join(topic, '보라');
  await Promise.all([one.sees(two.peerId), two.sees(one.peerId)]);
  expect(await becomeDirect(one, two)).toBeLessThanOrEqual(DIRECT_WITHIN);
  await one.talkTo(two);
  await two.talkTo(one);
});

test('a page and a terminal peer that cannot be dialled are connected directly', async ({ network }) => {
  const topic = newTopic('direct-terminal');
  const tab = await network.connect();
  await tab.join(topic, 'Ada');
  const terminal = await network.terminal(topic, 'terminal', 'tcp', { args: ['--listen', 'none'] });
  await Promise.all([tab.sees(terminal.peerId), terminal.sees(tab.peerId)]);
  expect(await becomeDirect(tab, terminal)).toBeLessThanOrEqual(DIRECT_WITHIN);
  expect(await terminal.connections(tab.peerId)).toContainEqual(
      expect.objectContaining({ transport: 'webrtc' }),
    );

  const open = (): Promise<number> => network.node.metric('moim_bootstrap_relay_circuits');
  await expect.poll(open, { timeout: PATIENCE }).toBe(0);
  const accepted = await network.node.metric('moim_bootstrap_relay_circuits_accepted_total');
  await tab.openDirect(terminal.peerId);
  for (let number = 0; number < 20; number += 1) {
    const text = `${number} ${'모'.repeat(5_000)}`;
    await expect(await tab.sendDirect(text)).toHaveAttribute('data-state', 'delivered');
    await terminal.hearsDirect(tab.peerId, text);
    terminal.say(text);
    await tab.hears(terminal.peerId, text);
  }
  expect(await open()).toBe(0);
  expect(await network.node.metric('moim_bootstrap_relay_circuits_accepted_total')).toBe(accepted);
});

test('the relay carries nothing once pages are connected directly', async ({ network }) => {
  const topic = newTopic('relay-idle');
  const [one, two] = [await network.connect(), await network.connect()];
  await one.join(topic, 'Ada');
  await two.join(topic, '보라');
  await one.reachesDirectly(two.peerId);
  await two.reachesDirectly(one.peerId);
  const open = (): Promise<number> => network.node.metric('moim_bootstrap_relay_circuits');
  await expect.poll(open, { timeout: PATIENCE }).toBe(0);
  const accepted = await network.node.metric('moim_bootstrap_relay_circuits_accepted_total');
  expect(accepted).toBeGreaterThan(0);

  await one.openDirect(two.peerId);
  for (let number = 0; number < 20; number += 1) {
    const text = `${number} ${'모'.repeat(5_000)}`;
    await one.say(text);
    await expect(await one.sendDirect(text)).toHaveAttribute('data-state', 'delivered');
    await two.hears(one.peerId, text);
    expect(await open()).toBe(0);
  }
  expect(await network.node.metric('moim_bootstrap_relay_circuits_accepted_total')).toBe(accepted);
});

test('pages that are connected directly talk on without the bootstrap node', async ({ network }) => {
  // While the WebSocket is away, WebRTC-direct is tried.
  network.webrtcErrorsAreKnown = true;
  const topic = newTopic('alone-together');
  const tabs = [await network.connect(), await network.connect(), await network.connect()];
  for (const [number, tab] of tabs.entries()) {
    await tab.join(topic, `tab ${number}`);
  }
  const others = (tab: (typeof tabs)[number]): typeof tabs => tabs.filter((other) => other !== tab);
  for (const tab of tabs) {
    for (const other of others(tab)) {
      await tab.reachesDirectly(other.peerId);
    }
  }
  await network.node.stop();
  for (const tab of tabs) {
    await expect(tab.status).toHaveAttribute('data-state', 'reconnecting', { timeout: PATIENCE });
  }
  for (const tab of tabs) {
    await tab.say(`still here, ${tab.peerId}`);
    for (const other of others(tab)) {
      await other.hears(tab.peerId, `still here, ${tab.peerId}`);
    }
  }
  const [first, second] = [tabs[0]!, tabs[1]!];
  await first.openDirect(second.peerId);
  const sent = await first.sendDirect('without anybody in between');
  await expect(sent).toHaveAttribute('data-state', 'delivered');
});

test('a page that knows one of a room reaches the others through it, without the bootstrap node', async ({
  network,
}) => {
  network.webrtcErrorsAreKnown = true;
  const [known, one, two, newcomer] = [
    await network.connect(),
    await network.connect(),
    await network.connect(),
    await network.connect(),
  ];
  // They are connected and stay so after they have left.
  const lobby = newTopic('lobby');
  await known.join(lobby, 'Ada');
  await newcomer.join(lobby, '나린');
  await newcomer.reachesDirectly(known.peerId);
  await known.reachesDirectly(newcomer.peerId);
  await newcomer.leaveRoom();
  await known.leaveRoom();

  const topic = newTopic('without-a-node');
  const room = [known, one, two];
  for (const [number, tab] of room.entries()) {
    await tab.join(topic, `tab ${number}`);
  }
  for (const tab of room) {
    for (const other of room.filter((other) => other !== tab)) {
      await tab.reachesDirectly(other.peerId);
    }
  }
  await network.node.stop();
  for (const tab of [...room, newcomer]) {
    await expect(tab.status).toHaveAttribute('data-state', 'reconnecting', { timeout: PATIENCE });
  }

  const joined = await newcomer.join(topic, '나린');
  for (const tab of room) {
    await newcomer.reachesDirectly(tab.peerId);
    await tab.reachesDirectly(newcomer.peerId);
  }
  console.log(`    directly connected to all ${Math.round(now() - joined)} ms after joining`);
  await one.talkTo(newcomer);
  await newcomer.talkTo(two);
});
