import { expect, test } from '../harness/network.ts';
import { newTopic } from '../harness/times.ts';

const LANGUAGES = [
  { locale: 'en-US', you: 'You', alike: /looks like/ },
  { locale: 'ko-KR', you: '나', alike: /비슷해 보입니다/ },
] as const;

for (const { locale, you, alike } of LANGUAGES) {
  test(`nobody looks like another, or like oneself, unnoticed (${locale})`, async ({ network }) => {
    const topic = newTopic('alike');
    const ada = await network.terminal(topic, 'Ada');
    const tab = await network.connect({ locale });
    await tab.join(topic, 'Bob');
    await tab.sees(ada.peerId);
    await expect(tab.member(ada.peerId).getByTestId('looks-like')).toHaveCount(0);

    // With a Cyrillic А.
    const other = await network.terminal(topic, '\u0410da');
    await tab.sees(other.peerId);
    for (const [one, two] of [[ada, other], [other, ada]] as const) {
      const warning = tab.member(one.peerId).getByTestId('looks-like');
      await expect(warning).toHaveText(alike);
      await expect(warning).toContainText(`…${two.peerId.slice(-6)}`);
    }
    const joined = await other.wait('Ada', (event) => event.type === 'member_joined' && event['peer'] === ada.peerId);
    expect(joined['looks_like']).toBe(other.peerId);

    // The word is in the name, and the badge is not.
    const mallory = await network.terminal(topic, `Bob (${you})`);
    await tab.sees(mallory.peerId);
    mallory.say('I am you');
    await tab.hears(mallory.peerId, 'I am you');
    const theirs = tab.roomMessages(mallory.peerId);
    await expect(theirs.locator('bdi')).toHaveText(`Bob (${you})`);
    await expect(theirs.getByTestId('you')).toHaveCount(0);
    await expect(theirs.locator('.short-id')).toHaveText(`…${mallory.peerId.slice(-6)}`);
    await tab.say('no');
    const own = tab.roomMessages(tab.peerId);
    await expect(own.locator('bdi')).toHaveText('Bob');
    await expect(own.getByTestId('you')).toHaveText(you);
    await expect(own.locator('.short-id')).toHaveText(`…${tab.peerId.slice(-6)}`);
  });
}

test('what is pasted from a word processor is said, and heard as it reads', async ({ network }) => {
  const topic = newTopic('pasted');
  const terminal = await network.terminal(topic, 'terminal');
  const tab = await network.connect();
  await tab.join(topic, 'Ada');
  await tab.sees(terminal.peerId);
  await terminal.sees(tab.peerId);
  await tab.say('one\u000btwo\u000cthree\u001b\u007f');
  await terminal.hears(tab.peerId, 'one\ntwo\nthree');
  await expect(tab.roomMessages(tab.peerId).locator('.message-text')).toHaveText('one\ntwo\nthree', { useInnerText: true });
  await tab.say('next');
  await terminal.hears(tab.peerId, 'next');

  await tab.page.getByTestId('room-input').fill('\u0000\u001b');
  await tab.page.getByTestId('room-send').click();
  await expect(tab.page.locator('.room .composer [role="alert"]')).toContainText(/nothing to be read/);
});

test('names and topics that show nothing are refused with the character', async ({ network }) => {
  const tab = await network.connect();
  const refused = async (name: string, topic: string, alert: string, code: string): Promise<void> => {
    await tab.page.getByTestId('name-input').fill(name);
    await tab.page.getByTestId('topic-input').fill(topic);
    await tab.page.getByTestId('join').click();
    await expect(tab.page.locator(alert)).toContainText(code);
  };
  await refused('\u3164', 'global-chat', '#name-refusal', 'U+3164');
  await refused('An\u200ba', 'global-chat', '#name-refusal', 'U+200B');
  await refused('Ana', 'global\u202echat', '#topic-refusal', 'U+202E');
});
