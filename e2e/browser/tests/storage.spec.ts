import { expect, test } from '../harness/network.ts';
import { newTopic, PATIENCE } from '../harness/times.ts';

/** What a browser's storage can do instead of an answer: nothing. Each makes one part of it silent. */
const SILENT = {
  'IndexedDB does not answer': () => {
    IDBFactory.prototype.open = () => new EventTarget() as IDBOpenDBRequest;
  },
  'Web Locks do not answer': () => {
    LockManager.prototype.request = () => new Promise(() => {});
  },
};

for (const [fault, silence] of Object.entries(SILENT)) {
  test(`where ${fault} a page says so and goes on`, async ({ network }) => {
    const topic = newTopic('silent-storage');
    const context = await network.newContext();
    await context.addInitScript(silence);
    const tab = await network.connect({ context });
    await expect(tab.page.locator('.banner').filter({ hasText: 'does not answer' })).toBeVisible();
    await expect(tab.page.locator('.banner').filter({ hasText: 'until the page is closed' })).toBeVisible();
    await network.screenshot(tab, `silent-${fault.split(' ')[0]?.toLowerCase()}`);

    const other = await network.connect();
    await tab.join(topic, 'Ada');
    await other.join(topic, 'Bob');
    await tab.reachesDirectly(other.peerId);
    await tab.talkTo(other);

    // A reload makes it somebody new, as it said.
    const before = tab.peerId;
    await tab.page.reload();
    await tab.connected();
    await tab.readPeerId();
    expect(tab.peerId).not.toBe(before);
  });
}

test('where the system chooses the colours, the selected room is to be seen', async ({ network }) => {
  const tab = await network.connect({ forcedColors: 'active' });
  await tab.join(newTopic('colours'), 'Ada');
  const outline = (selected: boolean): Promise<string[]> =>
    tab.page
      .locator(`button.row${selected ? '[aria-current]' : ':not([aria-current])'}`)
      .evaluateAll((rows) => rows.map((row) => getComputedStyle(row).outlineStyle));
  await expect.poll(() => outline(true), { timeout: PATIENCE }).toContain('solid');
  expect(await outline(false)).not.toContain('solid');
  await network.screenshot(tab, 'forced-colours');
});
