import type { Locator } from '@playwright/test';
import { expect, test } from '../harness/network.ts';
import type { Tab } from '../harness/tab.ts';
import { newTopic } from '../harness/times.ts';

/** Messages that together are longer than a screen. */
const LONG = Array.from({ length: 12 }, (_, message) =>
  Array.from({ length: 8 }, (_, line) => `message ${message}, line ${line}`).join('\n'),
);

const newest = (where: Locator): Locator => where.getByRole('button', { name: 'Go to the newest message' });

/** Scrolls to the beginning as a reader does: the page hears of it. */
const goUp = (where: Locator): Promise<void> =>
  where.getByRole('log').evaluate(async (log) => {
    const scrolled = new Promise((resolve) => log.addEventListener('scroll', resolve, { once: true }));
    log.scrollTop = 0;
    await scrolled;
  });

/** Hides the page, or brings it back, as far as it can tell. */
const hide = (tab: Tab, state: DocumentVisibilityState): Promise<void> =>
  tab.page.evaluate((state) => {
    Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => state });
    document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
  }, state);

test('a room with more that is new than fits opens where that begins', async ({ network }) => {
  const [topic, other] = [newTopic('much-unread'), newTopic('other')];
  const terminal = await network.terminal(topic, 'terminal');
  const tab = await network.connect();
  await tab.join(topic, 'Ada');
  await tab.sees(terminal.peerId);
  await terminal.sees(tab.peerId);
  terminal.say('seen');
  await tab.hears(terminal.peerId, 'seen');
  await tab.page.getByRole('button', { name: 'Join a topic' }).click();
  await tab.join(other, 'Ada');
  const open = (topic: string): Promise<void> => tab.page.getByRole('button', { name: topic }).click();
  const [room, line] = [tab.page.locator('.room'), tab.page.getByTestId('unread-line')];
  const messages = tab.roomMessages(terminal.peerId);

  LONG.forEach((text) => terminal.say(text));
  await expect(tab.page.getByRole('button', { name: topic })).toContainText('12');
  await open(topic);
  await expect(line).toBeInViewport();
  await expect(messages.filter({ has: line })).toContainText('message 0');
  await expect(messages.filter({ hasText: 'seen' })).toBeInViewport();
  // Nothing but the log was scrolled.
  expect(await tab.page.evaluate(() => document.documentElement.scrollTop)).toBe(0);
  await network.screenshot(tab, 'unread-more-than-a-screen');
  // It is not all read: there is a way on.
  await newest(room).click();
  await expect(messages.last()).toBeInViewport();
  await expect(line).not.toBeInViewport();
  await expect(newest(room)).toHaveCount(0);

  // All of it was read.
  await open(other);
  await open(topic);
  await expect(messages.last()).toBeInViewport();

  // Out of sight with the whole page.
  await hide(tab, 'hidden');
  LONG.forEach((text) => terminal.say(text));
  await expect(messages).toHaveCount(1 + 2 * LONG.length);
  await hide(tab, 'visible');
  await expect(line).toBeInViewport();
  await expect(messages.nth(1 + LONG.length)).toBeInViewport();
  await expect(messages.last()).not.toBeInViewport();
});

test('what comes while the reader is further up is marked where it begins', async ({ network }) => {
  const topic = newTopic('further-up');
  const terminal = await network.terminal(topic, 'terminal');
  const tab = await network.connect();
  await tab.join(topic, 'Ada');
  await tab.sees(terminal.peerId);
  await terminal.sees(tab.peerId);
  LONG.forEach((text) => terminal.say(text));
  const messages = tab.roomMessages(terminal.peerId);
  const room = tab.page.locator('.room');
  await expect(messages).toHaveCount(LONG.length);
  await expect(messages.last()).toBeInViewport();
  // Who has seen everything needs no mark.
  const line = tab.page.getByTestId('unread-line');
  await expect(line).toHaveCount(0);

  await goUp(room);
  for (const text of ['while you read', 'and more']) {
    terminal.say(text);
    await tab.hears(terminal.peerId, text);
    await expect(messages.filter({ has: line })).toContainText('while you read');
  }
  await expect(messages.first()).toBeInViewport();
  // Nor does it take the reader elsewhere when the page was hidden meanwhile.
  await hide(tab, 'hidden');
  terminal.say('unseen');
  await tab.hears(terminal.peerId, 'unseen');
  await hide(tab, 'visible');
  await expect(tab.page).not.toHaveTitle(/^\(/);
  await expect(messages.first()).toBeInViewport();
  await newest(room).click();
  await expect(messages.last()).toBeInViewport();
  // Read now, and followed: what comes next moves no mark.
  terminal.say('the last');
  await expect(messages.last()).toContainText('the last');
  await expect(messages.last()).toBeInViewport();
  await expect(messages.filter({ has: line })).toContainText('while you read');
  await goUp(room);
  terminal.say('once more');
  await expect(messages.filter({ has: line })).toContainText('once more');
});

test('a direct conversation opens where the new messages begin', async ({ network }) => {
  const topic = newTopic('direct-unread');
  const terminal = await network.terminal(topic, 'terminal');
  const tab = await network.connect();
  await tab.join(topic, 'Ada');
  await tab.sees(terminal.peerId);
  await terminal.sees(tab.peerId);
  LONG.forEach((text) => terminal.send(tab.peerId, text));
  await expect(tab.member(terminal.peerId)).toContainText('12');
  await tab.openDirect(terminal.peerId);
  await expect(tab.page.getByTestId('unread-line')).toBeInViewport();
  const [side, messages] = [tab.page.locator('.direct'), tab.directMessages(terminal.peerId)];
  await expect(messages.last()).not.toBeInViewport();
  await newest(side).click();
  await expect(messages.last()).toBeInViewport();
  await goUp(side);
  terminal.send(tab.peerId, 'while you read');
  const marked = messages.filter({ has: tab.page.getByTestId('unread-line') });
  await expect(marked).toContainText('while you read');
});
