import { expect, test } from '../harness/network.ts';
import { newTopic } from '../harness/times.ts';

const LANGUAGES = [
  { locale: 'en-US', stopped: 'Moim has stopped', details: 'Technical details' },
  { locale: 'ko-KR', stopped: '모임이 멈췄습니다', details: '기술 정보' },
] as const;

for (const { locale, stopped, details } of LANGUAGES) {
  test(`a page whose program breaks says so, and is itself again after a reload (${locale})`, async ({ network }) => {
    const topic = newTopic('crash');
    const [tab, other] = [await network.connect({ locale }), await network.connect()];
    await tab.join(topic, 'Ada');
    await other.join(topic, 'Bob');
    await tab.sees(other.peerId);
    await other.sees(tab.peerId);
    const before = tab.peerId;

    // A browser that makes no elements any more: there is nothing that the program could do.
    await tab.page.evaluate(() => {
      Document.prototype.createElement = () => {
        throw new Error('out of elements');
      };
    });
    await other.say('the last words');

    const notice = tab.page.locator('#failure');
    await expect(notice).toBeVisible();
    await expect(notice).toContainText(stopped);
    // What is behind it can neither be reached by keyboard nor be taken for working.
    await expect(tab.page.locator('#app')).toHaveAttribute('inert', '');
    await expect(tab.status).toHaveAttribute('data-state', 'failed');
    const reload = tab.page.locator('#failure-reload');
    await expect(reload).toBeFocused();
    await network.screenshot(tab, `crashed-${locale}`);
    // What the program said itself is for those who ask for it.
    const reason = tab.page.locator('#failure-reason');
    await expect(reason).toBeHidden();
    await notice.getByText(details).click();
    await expect(reason).toBeVisible();
    await expect(reason).toContainText('panicked');
    // What it was made to do is no fault of the page's.
    expect(tab.console.filter((line) => /panicked/.test(line))).not.toEqual([]);

    await reload.press('Enter');
    await tab.connected();
    tab.console.splice(0);
    tab.errors.splice(0);
    await tab.readPeerId();
    expect(tab.peerId).toBe(before);
    await tab.join(topic, 'Ada');
    await tab.reachesDirectly(other.peerId);
    await tab.talkTo(other);
  });
}
