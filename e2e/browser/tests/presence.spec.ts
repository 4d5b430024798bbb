import { expect, test } from '../harness/network.ts';
import { LEFT_WITHIN, LOST_WITHIN, newTopic, now } from '../harness/times.ts';

/** More lines than a page may say at once: the last ones wait for some seconds (SAY in protocol/src/limits.rs). */
const LINES = 200;

test('whoever comes and leaves is seen to come and leave', async ({ network }) => {
  const topic = newTopic('presence');
  const tab = await network.connect();
  await tab.join(topic, 'Ada');
  const terminal = await network.terminal(topic, 'terminal', 'quic');
  await tab.sees(terminal.peerId);
  await terminal.sees(tab.peerId);

  const left = await terminal.leave();
  expect((await tab.loses(terminal.peerId)) - left).toBeLessThanOrEqual(LEFT_WITHIN);

  const again = await network.terminal(topic, 'again');
  await again.sees(tab.peerId);
  const mark = again.mark();
  const pressed = await tab.leaveRoom();
  const event = await again.loses(tab.peerId, mark);
  expect(event['reason']).toBe('left');
  expect(event.at - pressed).toBeLessThanOrEqual(LEFT_WITHIN);
  await expect(tab.page.getByTestId('join')).toBeVisible();
});

test('a closed tab is gone within 2 s', async ({ network }) => {
  const topic = newTopic('closed');
  const terminal = await network.terminal(topic, 'terminal');
  const [closes, stays] = [await network.connect(), await network.connect()];
  await closes.join(topic, 'closes');
  await stays.join(topic, 'stays');
  await Promise.all([terminal.sees(closes.peerId), stays.sees(closes.peerId)]);

  const mark = terminal.mark();
  const closed = await closes.close();
  const event = await terminal.loses(closes.peerId, mark);
  const seen = await stays.loses(closes.peerId);
  const took = [event.at - closed, seen - closed].map(Math.round);
  console.log(`    gone after ${took.join(' and ')} ms`);
  expect(event['reason']).toBe('left');
  expect(Math.max(event.at, seen) - closed).toBeLessThanOrEqual(LEFT_WITHIN);
});

test('a room is left at once although lines wait to be said, and can be joined again', async ({ network }) => {
  const topic = newTopic('waiting');
  const terminal = await network.terminal(topic, 'terminal');
  const tab = await network.connect();
  await tab.join(topic, 'Ada');
  await Promise.all([tab.sees(terminal.peerId), terminal.sees(tab.peerId)]);

  const mark = terminal.mark();
  await tab.sayAtOnce(LINES);
  const pressed = await tab.leaveRoom();
  const event = await terminal.loses(tab.peerId, mark);
  expect(event['reason']).toBe('left');
  expect(event.at - pressed).toBeLessThanOrEqual(LEFT_WITHIN);
  await tab.join(topic, 'Ada');
  await tab.sees(terminal.peerId);
  await tab.say('back again');
  await terminal.hears(tab.peerId, 'back again');
});

test('a tab that is closed while lines wait to be said takes leave', async ({ network }) => {
  const topic = newTopic('closed-waiting');
  const terminal = await network.terminal(topic, 'terminal');
  const tab = await network.connect();
  await tab.join(topic, 'Ada');
  await Promise.all([tab.sees(terminal.peerId), terminal.sees(tab.peerId)]);
  const mark = terminal.mark();
  await tab.sayAtOnce(LINES);
  const closed = await tab.close();
  const event = await terminal.loses(tab.peerId, mark);
  expect(event['reason']).toBe('left');
  expect(event.at - closed).toBeLessThanOrEqual(LEFT_WITHIN);
});

test('a crashed tab is gone long before its presence runs out', async ({ network }) => {
  const topic = newTopic('crash');
  const terminal = await network.terminal(topic, 'terminal');
  const [crashes, stays] = [await network.connect(), await network.connect()];
  await crashes.join(topic, 'crashes');
  await stays.join(topic, 'stays');
  await Promise.all([terminal.sees(crashes.peerId), stays.reachesDirectly(crashes.peerId)]);

  const mark = terminal.mark();
  const crashed = crashes.page.waitForEvent('crash');
  const session = await crashes.page.context().newCDPSession(crashes.page);
  void session.send('Page.crash').catch(() => {});
  await crashed;
  const at = now();
  const event = await terminal.loses(crashes.peerId, mark);
  const seen = await stays.loses(crashes.peerId);
  console.log(`    gone after ${Math.round(event.at - at)} and ${Math.round(seen - at)} ms`);
  expect(event['reason']).toBe('lost');
  expect(Math.max(event.at, seen) - at).toBeLessThanOrEqual(LOST_WITHIN);
});

test('a reload keeps the identity, and the name', async ({ network }) => {
  const topic = newTopic('reload');
  const terminal = await network.terminal(topic, 'terminal');
  const tab = await network.connect();
  await tab.join(topic, 'Ada');
  await terminal.sees(tab.peerId);
  const before = tab.peerId;
  await tab.reload();
  expect(tab.peerId).toBe(before);
  await expect(tab.page.getByTestId('name-input')).toHaveValue('Ada');
  const mark = terminal.mark();
  await tab.join(topic, 'Ada');
  await tab.sees(terminal.peerId);
  await tab.say('back again');
  await terminal.wait('the message', (event) => event['text'] === 'back again', { since: mark });
});

test('two tabs of one browser are two peers', async ({ network }) => {
  const topic = newTopic('two-tabs');
  const context = await network.newContext();
  const one = await network.connect({ context });
  const two = await network.connect({ context });
  expect(two.peerId).not.toBe(one.peerId);
  await one.join(topic, 'one');
  await two.join(topic, 'two');
  await one.sees(two.peerId);
  await two.sees(one.peerId);
  await two.say('hello, neighbour');
  await one.hears(two.peerId, 'hello, neighbour');

  // Each stays who it is.
  const [first, second] = [one.peerId, two.peerId];
  await one.reload();
  expect(one.peerId).toBe(first);
  await two.reload();
  expect(two.peerId, 'the second does not take the identity of the first').not.toBe(first);
  console.log(`    the second tab ${two.peerId === second ? 'keeps' : 'changes'} its identity`);
});
