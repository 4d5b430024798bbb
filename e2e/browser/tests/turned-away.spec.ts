import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Locator } from '@playwright/test';
import { expect, only, test, type TabOptions } from '../harness/network.ts';
import { bootstrapProgram } from '../harness/programs.ts';
import type { Tab } from '../harness/tab.ts';
import { newTopic, PATIENCE } from '../harness/times.ts';

/** Connections that a node takes of one identity (docs/security.md). */
const PER_IDENTITY = 8;

/** What every banner is made of. */
const banner = (tab: Tab): Locator => tab.page.locator('.banner').first();

/** Reasons are in the page's language, and name no address and no error of a library. */
async function speaksOnly(tab: Tab, language: 'en' | 'ko'): Promise<void> {
  const text = await banner(tab).innerText();
  expect(text).not.toMatch(/\/(ip4|ip6|dns\w*|tcp|udp|p2p)\//);
  if (language === 'ko') {
    // Names of things have no other letters in Korean either. Where a node is stands in isolates.
    const own = text.replace(/\u2068[^\u2069]*\u2069/g, '');
    const words = own.match(/[A-Za-z]{2,}(\.[a-z]+)?/g) ?? [];
    const names = ['bootstrap.json', 'DHT', 'ID', 'NAT', 'TURN', 'URL', 'WebRTC'];
    expect(words.filter((word) => !names.includes(word))).toEqual([]);
  }
}

async function looks(tab: Tab, name: string): Promise<void> {
  await tab.page.screenshot({ path: `artefacts/${name}.png` });
}

async function isTold(tab: Tab, language: 'en' | 'ko', words: RegExp, name: string): Promise<void> {
  await expect(banner(tab)).toContainText(words, { timeout: PATIENCE });
  await speaksOnly(tab, language);
  // And where the nodes are listed.
  await tab.openConnection();
  await expect(tab.page.getByTestId('bootstrap-node').first()).toContainText(words);
  await looks(tab, `${name}-${language}`);
}

const LANGUAGES = { en: 'en-US', ko: 'ko-KR' } as const;

for (const language of ['en', 'ko'] as const) {
  const options: TabOptions = { locale: LANGUAGES[language] };

  test.describe(`in ${language}`, () => {
    test.describe('at a full node', () => {
      test.use({ args: ['--max-connections', '1'] });

      test('a page says that it is full, and is let in when there is room', async ({ network }) => {
        const first = await network.connect();
        const second = await network.open(options);
        const words = { en: /The node is full/, ko: /노드가 꽉 찼습니다/ }[language];
        await isTold(second, language, words, 'full');
        await first.close();
        await second.connected();
        await expect(banner(second)).toHaveCount(0);
      });
    });

    test('a page that is blocked is told so', async ({ network }) => {
      const tab = await network.connect(options);
      const block = ['--data-dir', network.node.data, 'block', 'add', tab.peerId];
      await promisify(execFile)(bootstrapProgram(), block);
      const words = { en: /does not let this identity or network in/, ko: /운영자가 .* 차단했습니다/ }[language];
      await isTold(tab, language, words, 'blocked');
    });

    test('a page whose identity many others use is told so', async ({ network }) => {
      const context = await network.newContext(options);
      const tab = await network.connect({ context });
      const key = await keyOf(tab);
      await tab.close();
      const topic = newTopic('identity');
      for (let number = 0; number < PER_IDENTITY; number += 1) {
        const options = { key, args: ['--listen', 'none'] };
        const copy = await network.terminal(topic, `copy ${number}`, 'tcp', options);
        await copy.wait('in the DHT', (event) => event['state'] === 'connected');
      }
      const again = await network.open({ context });
      const words = { en: /uses this identity/, ko: /같은 신원/ }[language];
      await isTold(again, language, words, 'identity');
    });

    test('a page without a node says why, in its own words', async ({ network }) => {
      // The page itself is no bootstrap.json.
      const nothing = `${network.site.url}/index.html`;
      const tab = await network.open({ ...options, ...only(nothing) });
      const words = {
        en: /not a valid bootstrap\.json/,
        ko: /올바른 bootstrap\.json이 아닙니다/,
      }[language];
      await isTold(tab, language, words, 'no-document');
      // Two nodes with two reasons: each by its place.
      const nodes = new URLSearchParams([
        ['bootstrap', nothing],
        ['bootstrap', '/ip4/127.0.0.1/tcp/9/ws'],
      ]);
      const other = await network.open({ ...options, at: `/?${nodes}` });
      await expect(banner(other)).toContainText('127.0.0.1:9', { timeout: PATIENCE });
      await speaksOnly(other, language);
    });

    test('a page whose clock is wrong says so, and how far it is off', async ({ network }) => {
      const context = await network.newContext(options);
      await context.addInitScript(() => {
        const right = Date.now.bind(Date);
        Date.now = () => right() + 40 * 60 * 1_000;
      });
      const tab = await network.connect({ context });
      const clock = tab.page.getByTestId('clock');
      await expect(clock).toContainText({ en: /40 minutes ahead/, ko: /40분 빠릅니다/ }[language], {
        timeout: PATIENCE,
      });
      await looks(tab, `clock-${language}`);
      // A page whose clock is right has nothing to say.
      const other = await network.connect({ locale: LANGUAGES[language] });
      await other.join(newTopic('clock'), 'Ada');
      await expect(other.page.getByTestId('clock')).toHaveCount(0);
    });
  });
}

/** The private key of a page, as it keeps it: protobuf, the same as in a program's `identity.key`. */
async function keyOf(tab: Tab): Promise<Uint8Array> {
  const bytes = await tab.page.evaluate(
    () =>
      new Promise<number[]>((resolve, reject) => {
        const opened = indexedDB.open('moim');
        opened.onerror = () => reject(opened.error);
        opened.onsuccess = () => {
          const all = opened.result.transaction('identities').objectStore('identities').getAll();
          all.onerror = () => reject(all.error);
          all.onsuccess = () => {
            opened.result.close();
            resolve([...(all.result[0] as Uint8Array)]);
          };
        };
      }),
  );
  return Uint8Array.from(bytes);
}
