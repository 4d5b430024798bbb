import { expect, test } from '../harness/network.ts';
import { newTopic, OUTBOX_DEADLINE, SEEN_WITHIN } from '../harness/times.ts';

test('a page joins by itself and shows who it is', async ({ network }) => {
  const tab = await network.connect();
  await expect(tab.page.getByTestId('peer-id')).toHaveText(tab.peerId);
  await tab.join(newTopic('alone'), 'Ada');
  await expect(tab.members).toHaveCount(0);
  await tab.say('anybody here?');
  await expect(tab.roomMessages(tab.peerId)).toHaveCount(1);
});

test('page and terminal talk in the room, both ways', async ({ network }) => {
  const topic = newTopic('room');
  const terminal = await network.terminal(topic, 'terminal');
  const tab = await network.connect();
  await tab.join(topic, 'Ada');
  await tab.sees(terminal.peerId);
  await terminal.sees(tab.peerId);
  await expect(tab.member(terminal.peerId)).toContainText('terminal');

  await tab.say('hello from the page: 안녕 👋 <b>no markup</b>');
  await terminal.hears(tab.peerId, 'hello from the page: 안녕 👋 <b>no markup</b>');
  terminal.say('hello from the terminal: <img src=x onerror=alert(1)>');
  await tab.hears(terminal.peerId, 'hello from the terminal: <img src=x onerror=alert(1)>');
  await expect(tab.roomMessages(terminal.peerId)).toHaveCount(1);
});

test('page and terminal talk directly, both ways', async ({ network }) => {
  const topic = newTopic('direct');
  const terminal = await network.terminal(topic, 'terminal');
  const tab = await network.connect();
  await tab.join(topic, 'Ada');
  await tab.sees(terminal.peerId);
  await tab.openDirect(terminal.peerId);
  const sent = await tab.sendDirect('psst');
  await expect(sent).toHaveAttribute('data-state', 'delivered');
  const got = await terminal.hearsDirect(tab.peerId, 'psst');
  expect(terminal.heardDirectlyFrom(tab.peerId)).toEqual(['psst']);
  console.log(`    page to terminal is ${String(got['path'])}`);

  terminal.send(tab.peerId, 'what is it?');
  const receipt = await terminal.wait('a receipt', ({ type }) => type === 'receipt');
  expect(receipt['state']).toBe('delivered');
  await expect(tab.directMessages(terminal.peerId)).toHaveText(/what is it\?/);
});

test('page and page talk, in the room and directly', async ({ network }) => {
  const topic = newTopic('pages');
  const [one, two] = [await network.connect(), await network.connect()];
  await one.join(topic, 'Ada');
  await two.join(topic, '보라');
  await one.sees(two.peerId);
  await two.sees(one.peerId);
  await one.talkTo(two);
  await two.talkTo(one);
  await expect(two.directMessages(one.peerId)).toHaveText(/only for you/);
  // The first reads what came while its direct conversation was open already.
  await expect(one.directMessages(two.peerId)).toHaveText(/only for you/);
});

test('a direct message to a peer that is gone fails and says so', async ({ network }) => {
  const topic = newTopic('gone');
  const terminal = await network.terminal(topic, 'terminal');
  const tab = await network.connect();
  await tab.join(topic, 'Ada');
  await tab.sees(terminal.peerId);
  await tab.openDirect(terminal.peerId);
  await terminal.program.kill();
  const sent = await tab.sendDirect('too late');
  await expect(sent).toHaveAttribute('data-state', 'sending');
  await expect(sent).toHaveAttribute('data-state', 'failed', {
    timeout: OUTBOX_DEADLINE + SEEN_WITHIN,
  });
});

test('everything works from the keyboard', async ({ network }) => {
  const topic = newTopic('keyboard');
  const terminal = await network.terminal(topic, 'terminal');
  const tab = await network.connect();
  const { keyboard } = tab.page;
  await tab.page.getByTestId('name-input').focus();
  await keyboard.type('Ada');
  await keyboard.press('Tab');
  await expect(tab.page.getByTestId('topic-input')).toBeFocused();
  await keyboard.press('ControlOrMeta+a');
  await keyboard.type(topic);
  await keyboard.press('Enter');
  await tab.sees(terminal.peerId);
  // Joined: what one wants to do now is to write.
  await expect(tab.page.getByTestId('room-input')).toBeFocused();
  await keyboard.type('typed');
  await keyboard.press('Enter');
  await terminal.hears(tab.peerId, 'typed');
  await tab.member(terminal.peerId).getByTestId('direct-open').focus();
  await keyboard.press('Enter');
  await expect(tab.page.getByTestId('direct-input')).toBeFocused();
  await keyboard.type('typed too');
  await keyboard.press('Enter');
  await expect(tab.directMessages(tab.peerId)).toHaveAttribute('data-state', 'delivered');
});

test('a link to a topic fills it in, and joining makes such a link', async ({ network }) => {
  const topic = newTopic('차 한 잔');
  const tab = await network.connect({ at: `/#/t/${encodeURIComponent(topic)}` });
  await expect(tab.page.getByTestId('topic-input')).toHaveValue(topic);
  await tab.join(topic, 'Ada');
  expect(decodeURIComponent(new URL(tab.page.url()).hash)).toBe(`#/t/${topic}`);
});
