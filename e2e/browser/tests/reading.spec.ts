import { expect, test } from '../harness/network.ts';
import { newTopic } from '../harness/times.ts';

/** The ways in which a member is connected. */
const CONNECTED = /^(direct|turn|relayed)$/;

test('links, code and long messages are shown as such', async ({ network }) => {
  const topic = newTopic('reading');
  const terminal = await network.terminal(topic, 'terminal');
  const tab = await network.connect();
  await tab.join(topic, 'Ada');
  await tab.sees(terminal.peerId);
  await terminal.sees(tab.peerId);

  terminal.say('see https://page.example/a_(b)?c=d. Not javascript:alert(1)');
  await tab.hears(terminal.peerId, 'see https');
  const links = tab.roomMessages(terminal.peerId).getByRole('link');
  await expect(links).toHaveCount(1);
  await expect(links).toHaveAttribute('href', 'https://page.example/a_(b)?c=d');
  await expect(links).toHaveAttribute('rel', 'noopener noreferrer');
  await expect(links).toHaveAttribute('target', '_blank');

  await tab.say('run `ls -l`:\n```\nfn main() {\n    b();\n}\n```');
  const code = tab.roomMessages(tab.peerId).locator('code');
  await expect(code.first()).toHaveText('ls -l');
  await expect(tab.roomMessages(tab.peerId).locator('pre')).toHaveText('fn main() {\n    b();\n}');

  const lines = Array.from({ length: 40 }, (_, line) => `line ${line + 1}`);
  await tab.say(lines.join('\n'));
  const long = tab.roomMessages(tab.peerId).last();
  const more = long.getByRole('button', { name: 'Show all of it' });
  await expect(more).toHaveAttribute('aria-expanded', 'false');
  const height = async (): Promise<number> => (await long.boundingBox())!.height;
  const closed = await height();
  await network.screenshot(tab, 'reading-closed');
  await more.click();
  await expect(long.getByRole('button', { name: 'Show less' })).toBeVisible();
  expect(await height()).toBeGreaterThan(closed * 2);
  // Whoever hears it has all of it.
  await terminal.hears(tab.peerId, lines.join('\n'));
});

test('a message that nobody was there to hear says so', async ({ network }) => {
  const topic = newTopic('unheard');
  const tab = await network.connect();
  await tab.join(topic, 'Ada');
  await tab.say('anybody here?');
  await expect(tab.roomMessages(tab.peerId).getByTestId('unheard')).toBeVisible();
  const terminal = await network.terminal(topic, 'terminal');
  await expect(tab.member(terminal.peerId)).toHaveAttribute('data-path', CONNECTED);
  await tab.say('now there is');
  await terminal.hears(tab.peerId, 'now there is');
  await expect(tab.page.getByTestId('unheard')).toHaveCount(1);
});

test('what is said while nobody is connected says so, though somebody is listed', async ({ network }) => {
  const topic = newTopic('unconnected');
  const terminal = await network.terminal(topic, 'terminal');
  const tab = await network.connect();
  await tab.join(topic, 'Ada');
  const member = tab.member(terminal.peerId);
  await expect(member).toHaveAttribute('data-path', CONNECTED);
  await tab.say('hello');
  await terminal.program.kill();
  await expect(member).toHaveAttribute('data-path', /^(unconnected|connecting)$/);
  await tab.say('still there?');
  const [heard, unheard] = ['hello', 'still there?'].map((text) =>
    tab.roomMessages(tab.peerId).filter({ hasText: text }).getByTestId('unheard'),
  );
  await expect(unheard!).toBeVisible();
  await expect(member).toBeVisible();
  await expect(heard!).toHaveCount(0);
});

test('who comes back finds where the new messages begin, and each is announced', async ({
  network,
}) => {
  const [topic, other] = [newTopic('unread'), newTopic('other')];
  const terminal = await network.terminal(topic, 'terminal');
  const tab = await network.connect();
  await tab.join(topic, 'Ada');
  await tab.sees(terminal.peerId);
  await terminal.sees(tab.peerId);
  terminal.say('seen');
  await tab.hears(terminal.peerId, 'seen');
  await tab.page.getByRole('button', { name: 'Join a topic' }).click();
  await tab.join(other, 'Ada');
  const announced = tab.page.locator('p.unseen[aria-live="polite"]');
  for (const [number, text] of ['one', 'two', 'three'].entries()) {
    terminal.say(text);
    const times = number === 0 ? '' : ` (${number + 1})`;
    await expect(announced).toHaveText(`terminal wrote in the room${times}`);
  }
  await tab.page.getByRole('button', { name: topic }).click();
  const line = tab.page.getByTestId('unread-line');
  await expect(line).toHaveCount(1);
  await expect(tab.roomMessages(terminal.peerId).filter({ has: line })).toContainText('one');
  await network.screenshot(tab, 'unread-line');
  // Whoever answers has read it.
  await tab.say('thanks');
  await expect(line).toHaveCount(0);
});

test('the keyboard is in the first empty field', async ({ network }) => {
  const tab = await network.connect();
  await expect(tab.page.getByTestId('name-input')).toBeFocused();
  await tab.join(newTopic('focus'), 'Ada');
  await tab.reload();
  await expect(tab.page.getByTestId('topic-input')).toBeFocused();
});

test('with letters twice as large the page goes over to fewer columns', async ({ network }) => {
  const tab = await network.connect({ viewport: { width: 1280, height: 800 } });
  await tab.join(newTopic('large'), 'Ada');
  const session = await tab.page.context().newCDPSession(tab.page);
  await session.send('Page.setFontSizes', { fontSizes: { standard: 32, fixed: 26 } });
  const log = tab.page.getByRole('log');
  // 40 em wide: one view at a time, with buttons to choose it.
  await expect(tab.page.getByRole('navigation')).toBeVisible();
  const box = (await log.boundingBox())!;
  expect(box.width).toBeGreaterThan(1200);
  expect(box.height).toBeGreaterThan(250);
  await network.screenshot(tab, 'letters-200-percent');
});

test('with letters twice as large nothing of the page leaves a phone', async ({ network }) => {
  const topic = newTopic('large-phone');
  const terminal = await network.terminal(topic, 'terminal');
  const tab = await network.connect({ viewport: { width: 390, height: 844 } });
  const session = await tab.page.context().newCDPSession(tab.page);
  await session.send('Page.setFontSizes', { fontSizes: { standard: 32, fixed: 26 } });
  const fits = async (view: string): Promise<void> => {
    await network.screenshot(tab, `letters-200-percent-390-${view}`);
    const wide = await tab.page.evaluate(() =>
      ['html', '.header', '.status', '.tabs', '.tabs button', '.talk-head', '.composer', '.people', '.side', '.panel']
        .concat('.message-head', '.message-name', '.short-id')
        .flatMap((selector) => [...document.querySelectorAll(selector)])
        .filter(
          (element) =>
            element.scrollWidth > element.clientWidth || element.getBoundingClientRect().right > innerWidth,
        )
        .map((element) => element.outerHTML.slice(0, 60)),
    );
    expect(wide, view).toEqual([]);
  };
  await fits('join');
  await tab.join(topic, 'Ada');
  await tab.say('hello');
  await expect(tab.page.locator('.message-name')).toHaveText('Ada');
  expect((await tab.page.locator('.message-name').boundingBox())!.width).toBeGreaterThan(30);
  await fits('room');
  await tab.openMembers();
  await tab.sees(terminal.peerId);
  await fits('members');
  await tab.openDirect(terminal.peerId);
  await fits('direct');
  await tab.openConnection();
  await fits('connection');
});

test('an Enter that only breaks the line after a syllable sends, and a paste without end is refused', async ({
  network,
}) => {
  const tab = await network.connect();
  await tab.join(newTopic('typing'), 'Ada');
  const input = tab.page.getByTestId('room-input');
  await input.fill('안녕');
  const prevented = await input.evaluate((element) => {
    const init = { inputType: 'insertLineBreak', bubbles: true, cancelable: true };
    element.dispatchEvent(new KeyboardEvent('keydown', { key: 'Process', bubbles: true }));
    return !element.dispatchEvent(new InputEvent('beforeinput', init));
  });
  expect(prevented).toBe(true);
  await expect(tab.roomMessages(tab.peerId)).toContainText('안녕');
  await input.press('Shift+Enter');
  await expect(input).toHaveValue('\n');

  const refused = await input.evaluate((element) => {
    const data = 'a'.repeat(1_000_000);
    const init = { inputType: 'insertFromPaste', data, bubbles: true, cancelable: true };
    return !element.dispatchEvent(new InputEvent('beforeinput', init));
  });
  expect(refused).toBe(true);
  await expect(tab.page.getByRole('alert').filter({ hasText: '1000001 bytes' })).toBeVisible();

  // Nor do many pastes make what one must not; what takes the place of something else counts without that.
  await input.fill('');
  const { keyboard } = tab.page;
  const length = (): Promise<number> => input.evaluate((area: HTMLTextAreaElement) => area.value.length);
  for (let paste = 0; paste < 16; paste += 1) {
    await keyboard.insertText('가'.repeat(20_000));
  }
  expect(await length()).toBe(20_000);
  await expect(tab.page.getByRole('alert').filter({ hasText: '120000 bytes' })).toBeVisible();
  await keyboard.press('ControlOrMeta+a');
  await keyboard.insertText('나'.repeat(21_000));
  expect(await length()).toBe(21_000);
  await expect(tab.page.locator('.composer [role="alert"]')).toBeEmpty();
});

test('the Shift of the last syllable is not that of the Enter after it', async ({ network }) => {
  const tab = await network.connect();
  await tab.join(newTopic('shifted'), 'Ada');
  const input = tab.page.getByTestId('room-input');
  type Key = readonly [type: 'keydown' | 'keyup', key: string, shift: boolean];
  /** An Enter that comes without a key, after these. Whether it sends. */
  const sends = (keys: readonly Key[]): Promise<boolean> =>
    input.evaluate((element, keys) => {
      for (const [type, key, shiftKey] of keys) {
        element.dispatchEvent(new KeyboardEvent(type, { key, shiftKey, bubbles: true }));
      }
      const init = { inputType: 'insertLineBreak', bubbles: true, cancelable: true };
      return !element.dispatchEvent(new InputEvent('beforeinput', init));
    }, keys);

  await input.fill('갔');
  const typed: Key[] = [['keydown', 'Shift', true], ['keydown', 'Process', true], ['keyup', 'T', true]];
  // Shift is still held.
  expect(await sends(typed)).toBe(false);
  expect(await sends([...typed, ['keyup', 'Shift', false]])).toBe(true);
  await expect(tab.roomMessages(tab.peerId)).toContainText('갔');
});

test('an Enter that comes without a key joins too', async ({ network }) => {
  const tab = await network.connect();
  await tab.page.getByTestId('name-input').fill('보라');
  await tab.page.getByTestId('topic-input').fill(newTopic('모임'));
  await tab.page.getByTestId('topic-input').evaluate((element) => {
    const init = { inputType: 'insertLineBreak', bubbles: true, cancelable: true };
    element.dispatchEvent(new InputEvent('beforeinput', init));
  });
  await expect(tab.page.getByTestId('room-input')).toBeVisible();
});

test('messages stand under one name for five minutes from the first of them', async ({ network }) => {
  const context = await network.newContext();
  await context.addInitScript(() => {
    const right = Date.now.bind(Date);
    const clock = Object.assign(globalThis, { minutesLater: 0 });
    Date.now = () => right() + clock.minutesLater * 60_000;
  });
  const tab = await network.connect({ context });
  await tab.join(newTopic('groups'), 'Ada');
  for (const [minutesLater, continued] of [[0, 'false'], [4, 'true'], [5.5, 'false'], [9, 'true']] as const) {
    await tab.page.evaluate((later) => Object.assign(globalThis, { minutesLater: later }), minutesLater);
    const text = `after ${minutesLater} minutes`;
    await tab.say(text);
    const message = tab.roomMessages(tab.peerId).filter({ hasText: text });
    await expect(message).toHaveAttribute('data-continued', continued);
  }
});

test('the time of a message is seen under the pointer, and where there is none at once', async ({ network }) => {
  const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true, locale: 'ko-KR' };
  for (const [options, unseen] of [[{}, '0'], [phone, '1']] as const) {
    const tab = await network.connect(options);
    await tab.join(newTopic('times'), 'Ada');
    await tab.say('one');
    await tab.say('two');
    const message = tab.roomMessages(tab.peerId).nth(1);
    const time = message.locator('.time-beside');
    await tab.page.mouse.move(0, 0);
    await expect(time).toHaveCSS('opacity', unseen);
    await message.hover();
    await expect(time).toHaveCSS('opacity', '1');
    expect((await time.boundingBox())!.x).toBeGreaterThanOrEqual(0);
    expect(await time.evaluate((time) => time.scrollWidth - time.clientWidth)).toBeLessThanOrEqual(0);
    await network.screenshot(tab, `times-${options === phone ? 'phone' : 'pointer'}`);
  }
});
