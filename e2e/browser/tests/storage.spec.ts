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

/** How long a page waits for the storage (STORAGE_TIMEOUT in peer/src/identity), and a little for the page itself. */
const TOLD_WITHIN = 3_000 + 1_000;

/** Notes how long after the program's start the page has something to say. */
const watchBanner = (): void => {
  window.addEventListener('moim-started', () => {
    const started = performance.now();
    const look = new MutationObserver(() => {
      if (document.querySelector('.banner') !== null) {
        look.disconnect();
        Object.assign(globalThis, { bannerAfter: performance.now() - started });
      }
    });
    look.observe(document.body, { childList: true, subtree: true });
  });
};

for (const [fault, silence] of Object.entries(SILENT)) {
  test(`where ${fault} a page says so and goes on`, async ({ network }) => {
    const topic = newTopic('silent-storage');
    const context = await network.newContext();
    await context.addInitScript(silence);
    await context.addInitScript(watchBanner);
    const tab = await network.connect({ context });
    await expect(tab.page.locator('.banner').filter({ hasText: 'does not answer' })).toBeVisible();
    const took = await tab.page.evaluate(() => (globalThis as unknown as { bannerAfter: number }).bannerAfter);
    console.log(`    said ${Math.round(took)} ms after the program started`);
    expect(took).toBeLessThanOrEqual(TOLD_WITHIN);
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

for (const storage of ['localStorage', 'sessionStorage'] as const) {
  test(`where ${storage} must not even be looked at a page goes on`, async ({ network }) => {
    const topic = newTopic('forbidden-storage');
    const context = await network.newContext();
    await context.addInitScript((storage) => {
      const get = (): never => {
        throw new DOMException('The operation is insecure.', 'SecurityError');
      };
      Object.defineProperty(window, storage, { get });
    }, storage);
    const terminal = await network.terminal(topic, 'terminal');
    const tab = await network.connect({ context });
    await tab.join(topic, 'Ada');
    await tab.sees(terminal.peerId);
    // Settings hold until the page is closed, and it says so where they cannot be kept.
    await tab.setBootstrap(network.node.address('ws'));
    const banner = tab.page.locator('.banner').filter({ hasText: 'does not let this page keep settings' });
    await expect(banner).toHaveCount(storage === 'localStorage' ? 1 : 0);
    await expect(tab.page.getByTestId('bootstrap-node')).toContainText(network.node.address('ws'));
    await tab.connected();
    await tab.say('here');
    await terminal.hears(tab.peerId, 'here');
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
