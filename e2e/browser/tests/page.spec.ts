import AxeBuilder from '@axe-core/playwright';
import { expect, test } from '../harness/network.ts';
import type { Tab } from '../harness/tab.ts';
import { BACK_WITHIN, newTopic } from '../harness/times.ts';

const LOCALES = [
  { locale: 'en-US', lang: 'en', join: 'Join' },
  { locale: 'ko-KR', lang: 'ko', join: '참여' },
  // A language that the page does not have.
  { locale: 'fi-FI', lang: 'en', join: 'Join' },
] as const;

for (const { locale, lang, join } of LOCALES) {
  test(`a browser in ${locale} gets the page in ${lang}`, async ({ network }) => {
    const tab = await network.connect({ locale });
    await expect(tab.page.locator('html')).toHaveAttribute('lang', lang);
    await expect(tab.page.getByTestId('join')).toContainText(join);
  });
}

const WIDTHS = [360, 1600] as const;
const SCHEMES = ['light', 'dark'] as const;

/** The main views, one after the other, each with a way to get there. */
async function forEachView(
  tab: Tab,
  peer: string,
  look: (view: string) => Promise<void>,
): Promise<void> {
  await look('room');
  await tab.openMembers();
  await look('members');
  await tab.openDirect(peer);
  await tab.sendDirect('A direct message that is long enough to need more than one line here.');
  await expect(tab.directMessages(tab.peerId)).toHaveAttribute('data-state', 'delivered');
  await look('direct');
  await tab.openConnection();
  await look('connection');
}

for (const colorScheme of SCHEMES) {
  for (const width of WIDTHS) {
    test(`every view in ${colorScheme} at ${width} px`, async ({ network }) => {
      const topic = newTopic('views');
      const locale = colorScheme === 'dark' ? 'ko-KR' : 'en-US';
      const viewport = { width, height: width < 600 ? 740 : 900 };
      const terminal = await network.terminal(topic, 'A terminal with a rather long name');
      const tab = await network.connect({ colorScheme, locale, viewport });
      const look = async (view: string): Promise<void> => {
        await network.screenshot(tab, `${view}-${colorScheme}-${width}`);
        const overflow = await tab.page.evaluate(
          () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
        );
        expect(overflow, `${view} scrolls sideways`).toBe(0);
        const { violations } = await new AxeBuilder({ page: tab.page }).analyze();
        const found = violations.map(
          ({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(' ')}`,
        );
        expect(found, `axe on ${view}`).toEqual([]);
      };
      await look('join');
      await tab.join(topic, 'Ada');
      await terminal.sees(tab.peerId);
      const address = 'https://example.org/a/very/long/address/that/does/not/break/anywhere/';
      terminal.say(`Hello! ${address} ${address} ${address}`);
      await tab.hears(terminal.peerId, 'Hello!');
      await tab.say('안녕하세요, 반갑습니다.');
      await forEachView(tab, terminal.peerId, look);
    });
  }
}

test('without JavaScript the page says what it needs', async ({ network }) => {
  for (const colorScheme of SCHEMES) {
    const tab = await network.open({ javaScriptEnabled: false, colorScheme });
    await expect(tab.page.getByText(/JavaScript/).first()).toBeVisible();
    await network.screenshot(tab, `no-javascript-${colorScheme}`);
  }
});

test('a browser without WebAssembly is told what is missing', async ({ network }) => {
  const context = await network.newContext();
  await context.addInitScript(() => Reflect.deleteProperty(globalThis, 'WebAssembly'));
  const tab = await network.open({ context });
  await expect(tab.page.getByRole('alert')).toContainText('WebAssembly');
  await network.screenshot(tab, 'no-webassembly');
  // The program itself cannot start here, which the browser reports as well.
  tab.errors.length = 0;
});

test('while the program loads, the page shows how far it is', async ({ network }) => {
  const context = await network.newContext();
  let release = (): void => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  await context.route('**/*.wasm', async (route) => {
    await held;
    await route.continue();
  });
  const tab = await network.open({ context });
  await expect(tab.page.getByRole('progressbar')).toBeVisible();
  await network.screenshot(tab, 'loading');
  release();
  await tab.connected();
  await expect(tab.page.getByRole('progressbar')).toHaveCount(0);
});

test('a program that cannot be loaded is said, with a way to try again', async ({ network }) => {
  const context = await network.newContext();
  await context.route('**/*.wasm', (route) => route.abort());
  const tab = await network.open({ context });
  await expect(tab.page.getByRole('alert')).toBeVisible();
  await expect(tab.page.getByRole('alert').getByRole('button')).toBeVisible();
  await network.screenshot(tab, 'load-failed');
  // What the loader makes of a program that is not there is its own affair.
  tab.errors.length = 0;
});

test('why it cannot be loaded is said in the language of the page, and what the browser says on demand', async ({
  network,
}) => {
  const context = await network.newContext({ locale: 'ko-KR' });
  await context.route('**/*.wasm', (route) => route.abort());
  const tab = await network.open({ context });
  const [alert, reason] = [tab.page.getByRole('alert'), tab.page.locator('#failure-reason')];
  await expect(alert).toContainText('페이지를 다 불러오지 못했습니다');
  await expect(reason).toBeHidden();
  await alert.getByText('기술 정보').click();
  await expect(reason).toBeVisible();
  await expect(reason).not.toBeEmpty();
  await network.screenshot(tab, 'load-failed-ko');
  tab.errors.length = 0;
});

test('a confirmation that is repeated is told again, and stays as long as the first', async ({ network }) => {
  const context = await network.newContext();
  // Its time is over when this test says so.
  await context.addInitScript(() => {
    const held: (() => void)[] = [];
    const set = window.setTimeout.bind(window);
    const hold = (then: () => void, time?: number): number => (time === 6_000 ? held.push(then) : set(then, time));
    Object.assign(globalThis, { held, setTimeout: hold });
  });
  const tab = await network.connect({ context });
  /** Ends the time of those that began first, or of all. */
  const timeIsOver = (number?: number): Promise<void> =>
    tab.page.evaluate((number) => {
      const { held } = globalThis as unknown as { held: (() => void)[] };
      held.splice(0, number ?? held.length).forEach((then) => then());
    }, number);
  await tab.join(newTopic('toast'), 'Ada');
  const [share, toast] = [tab.page.getByRole('button', { name: 'Copy link' }), tab.page.locator('.toast')];
  await share.click();
  await expect(toast).toHaveAttribute('data-shown', 'true');
  const said = await toast.innerText();
  await toast.locator(':scope > *').evaluate((first) => first.setAttribute('data-first', ''));
  const begun = await tab.page.evaluate(() => (globalThis as unknown as { held: unknown[] }).held.length);
  await share.click();
  // Another element, for the same text in the same one is no news to a screen reader.
  await expect(toast.locator('[data-first]')).toHaveCount(0);
  await expect(toast).toHaveText(said);
  // The first one's time is over, and it stays for the second one's.
  await timeIsOver(begun);
  await expect(toast).toHaveText(said);
  await timeIsOver();
  await expect(toast).toHaveAttribute('data-shown', 'false');
});

test('fields take a little more than may be in them, so that it can be cut, and not without end', async ({
  network,
}) => {
  const long = `/#/t/${'a'.repeat(20_000)}`;
  const tab = await network.connect({ at: long });
  await expect(tab.page.getByTestId('topic-input')).toHaveValue('global-chat');
  for (const [field, most] of [['name-input', 256], ['topic-input', 512], ['sources-input', 16_384]] as const) {
    const input = tab.page.getByTestId(field);
    await input.fill('');
    await input.focus();
    await tab.page.keyboard.insertText('가'.repeat(100_000));
    expect((await input.inputValue()).length).toBe(most);
  }
});

test('a browser that loses its network and gets it back is told so', async ({ network }) => {
  const context = await network.newContext();
  const tab = await network.connect({ context });
  // Connections within this machine do not end with the network, so the other end goes too.
  await context.setOffline(true);
  await network.node.stop();
  await expect(tab.status).toHaveAttribute('data-state', 'offline');
  await network.screenshot(tab, 'offline');
  const back = await network.node.startAgain();
  await context.setOffline(false);
  expect((await tab.connected()) - back).toBeLessThanOrEqual(BACK_WITHIN);
});

test('names and topics that cannot be are refused in words', async ({ network }) => {
  const tab = await network.connect();
  const { page } = tab;
  await page.getByTestId('name-input').fill('Ada');
  await page.getByTestId('topic-input').fill('가'.repeat(60));
  await page.getByTestId('join').click();
  await expect(page.getByTestId('topic-input')).toHaveAttribute('aria-invalid', 'true');
  await expect(page.getByTestId('room-input')).toHaveCount(0);
  await network.screenshot(tab, 'join-refused');
  await page.getByTestId('topic-input').fill(newTopic('good'));
  await page.getByTestId('join').click();
  await expect(page.getByTestId('room-input')).toBeVisible();
});
