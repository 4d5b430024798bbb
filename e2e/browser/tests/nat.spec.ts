import { expect, test } from '@playwright/test';
import { Lab, type Nat } from '../harness/lab.ts';
import type { Tab } from '../harness/tab.ts';
import type { Terminal } from '../harness/terminal.ts';
import { becomeDirect, newTopic, PATIENCE, reachEachOther } from '../harness/times.ts';

test.skip(
  process.env['MOIM_NAT_LAB'] === undefined,
  'networks with NATs need root on Linux: set MOIM_NAT_LAB=1 where `cargo xtask test` does not',
);

/** How long two peers behind NATs may take from seeing each other to being connected directly. */
const DIRECT_WITHIN = 5_000;

/** Two pages behind NATs of these kinds, in one room and seeing each other. */
async function meet(nats: Record<'a' | 'b', Nat>, flags: string[] = []): Promise<Lab> {
  const lab = await Lab.build(nats, flags);
  try {
    const topic = newTopic('nat');
    for (const side of ['a', 'b'] as const) {
      const tab = await lab.connect(side);
      await tab.join(topic, `behind ${side}`);
    }
    const [one, two] = lab.tabs;
    await Promise.all([one!.sees(two!.peerId), two!.sees(one!.peerId)]);
  } catch (error) {
    console.log(lab.node.log());
    await lab.end();
    throw error;
  }
  return lab;
}

/** Everybody says something, and everybody hears it once. */
async function talk({ tabs }: Lab, about: string): Promise<void> {
  for (const tab of tabs) {
    await tab.say(`${about}, ${tab.peerId}`);
    for (const other of tabs.filter((other) => other !== tab)) {
      const text = `${about}, ${tab.peerId}`;
      await other.hears(tab.peerId, text);
      await expect(other.roomMessages(tab.peerId).filter({ hasText: text })).toHaveCount(1);
    }
  }
}

test('pages behind two NATs are connected directly, and stay so', async () => {
  const lab = await meet({ a: 'cone', b: 'cone' });
  try {
    const [one, two] = [lab.tabs[0]!, lab.tabs[1]!];
    expect(await becomeDirect(one, two)).toBeLessThanOrEqual(DIRECT_WITHIN);
    await talk(lab, 'over it');
    await lab.node.kill();
    for (const tab of lab.tabs) {
      await expect(tab.status).toHaveAttribute('data-state', 'reconnecting', { timeout: PATIENCE });
    }
    await talk(lab, 'without the node');
    expect(lab.tabs.flatMap(({ errors }) => errors)).toEqual([]);
  } finally {
    await lab.end();
  }
});

test('behind a symmetric NAT pages stay relayed, say why, and talk', async () => {
  const lab = await meet({ a: 'cone', b: 'symmetric' });
  try {
    await talk(lab, 'before');
    const [one, two] = [lab.tabs[0]!, lab.tabs[1]!];
    for (const [tab, other] of [
      [one, two],
      [two, one],
    ] as const) {
      await expect(tab.member(other.peerId)).toHaveAttribute('data-path', 'relayed');
    }
    await one.openConnection();
    await expect(one.page.getByTestId('not-direct').first()).toBeVisible({ timeout: PATIENCE });
    console.log(`    ${await one.page.getByTestId('not-direct').first().innerText()}`);
    await one.openRoom();
    await talk(lab, 'after');
    expect(lab.tabs.flatMap(({ errors }) => errors)).toEqual([]);
  } finally {
    await lab.end();
  }
});

test('behind two symmetric NATs pages are connected by TURN, and say so', async () => {
  const lab = await meet({ a: 'symmetric', b: 'symmetric' }, ['--turn', 'on']);
  try {
    const [one, two] = [lab.tabs[0]!, lab.tabs[1]!];
    expect(await reachEachOther(one, two, 'turn')).toBeLessThanOrEqual(DIRECT_WITHIN);
    await talk(lab, 'by TURN');
    expect(lab.tabs.flatMap(({ errors }) => errors)).toEqual([]);
  } finally {
    await lab.end();
  }
});

/** A page behind one NAT and a terminal peer behind another, in one room and seeing each other. */
async function meetTerminal(
  nats: Record<'a' | 'b', Nat>,
  flags: string[] = [],
): Promise<[Lab, Tab, Terminal]> {
  const lab = await Lab.build(nats, flags);
  try {
    const topic = newTopic('nat-terminal');
    const tab = await lab.connect('a');
    await tab.join(topic, 'behind a');
    const terminal = await lab.terminal('b', topic);
    await Promise.all([tab.sees(terminal.peerId), terminal.sees(tab.peerId)]);
    return [lab, tab, terminal];
  } catch (error) {
    console.log(lab.node.log());
    await lab.end();
    throw error;
  }
}

/** Each says something to all and something to the other alone; all of it arrives once. */
async function talkBothWays(tab: Tab, terminal: Terminal, about: string): Promise<void> {
  const [ours, theirs] = [`${about}, the page`, `${about}, the terminal`];
  await tab.say(ours);
  await terminal.hears(tab.peerId, ours);
  terminal.say(theirs);
  await tab.hears(terminal.peerId, theirs);
  expect(terminal.heardFrom(tab.peerId).filter((text) => text === ours)).toHaveLength(1);
  await expect(tab.roomMessages(terminal.peerId).filter({ hasText: theirs })).toHaveCount(1);
  const since = terminal.mark();
  terminal.send(tab.peerId, `${theirs} alone`);
  const receipt = await terminal.wait('a receipt', ({ type }) => type === 'receipt', { since });
  expect(receipt).toMatchObject({ state: 'delivered' });
}

test('a page and a terminal peer behind two NATs are connected directly, and stay so', async () => {
  const [lab, tab, terminal] = await meetTerminal({ a: 'cone', b: 'cone' });
  try {
    expect(await becomeDirect(tab, terminal)).toBeLessThanOrEqual(DIRECT_WITHIN);
    expect(await terminal.connections(tab.peerId)).toContainEqual(
      expect.objectContaining({ transport: 'webrtc' }),
    );
    await talkBothWays(tab, terminal, 'over it');
    await lab.node.kill();
    await expect(tab.status).toHaveAttribute('data-state', 'reconnecting', { timeout: PATIENCE });
    await talkBothWays(tab, terminal, 'without the node');
    expect(tab.errors).toEqual([]);
  } finally {
    await lab.end();
  }
});

test('where one packet of twenty gets lost, a page and a terminal peer miss no message', async () => {
  const [lab, tab, terminal] = await meetTerminal({ a: 'cone', b: 'cone' });
  try {
    await becomeDirect(tab, terminal);
    // The relayed connection stays a little longer, and may carry what is said meanwhile.
    const transports = async (): Promise<unknown[]> =>
      (await terminal.connections(tab.peerId)).map((row) => row['transport']);
    await expect.poll(transports, { timeout: PATIENCE }).toEqual(['webrtc']);
    await lab.lose(50);
    await tab.openDirect(terminal.peerId);
    const numbers = Array.from({ length: 30 }, (_, number) => number);
    for (const number of numbers) {
      const since = terminal.mark();
      terminal.send(tab.peerId, `terminal ${number}.`);
      const sent = await tab.sendDirect(`page ${number}.`);
      await expect(sent).toHaveAttribute('data-state', 'delivered', { timeout: PATIENCE });
      const receipt = await terminal.wait('a receipt', ({ type }) => type === 'receipt', { since });
      expect(receipt).toMatchObject({ state: 'delivered', path: 'direct' });
    }
    await terminal.hearsDirect(tab.peerId, `page ${numbers.at(-1)}.`);
    expect(terminal.heardDirectlyFrom(tab.peerId)).toEqual(numbers.map((n) => `page ${n}.`));
    await expect(tab.directMessages(terminal.peerId)).toHaveText(
      numbers.map((n) => new RegExp(`terminal ${n}\\.`)),
    );
    await tab.reachesDirectly(terminal.peerId);
    expect(tab.errors).toEqual([]);
  } finally {
    await lab.end();
  }
});

test('a terminal peer behind a symmetric NAT stays relayed to a page, says why, and talks', async () => {
  const [lab, tab, terminal] = await meetTerminal({ a: 'cone', b: 'symmetric' });
  try {
    await talkBothWays(tab, terminal, 'before');
    await tab.openConnection();
    await expect(tab.page.getByTestId('not-direct').first()).toBeVisible({ timeout: PATIENCE });
    const why = async (): Promise<unknown> =>
      (await terminal.connections(tab.peerId)).map((row) => row['not_direct']);
    await expect
      .poll(why, { timeout: PATIENCE })
      .toContainEqual(expect.objectContaining({ own_candidates: 'host, reflexive' }));
    console.log(`    ${JSON.stringify(await why())}`);
    await tab.openRoom();
    await expect(tab.member(terminal.peerId)).toHaveAttribute('data-path', 'relayed');
    await talkBothWays(tab, terminal, 'after');
    expect(tab.errors).toEqual([]);
  } finally {
    await lab.end();
  }
});

test('TURN of the page is enough for a terminal peer behind a symmetric NAT', async () => {
  const nats = { a: 'symmetric', b: 'symmetric' } as const;
  const [lab, tab, terminal] = await meetTerminal(nats, ['--turn', 'on']);
  try {
    expect(await reachEachOther(tab, terminal, 'turn')).toBeLessThanOrEqual(DIRECT_WITHIN);
    expect(await terminal.connections(tab.peerId)).toContainEqual(
      expect.objectContaining({ path: 'turn', transport: 'webrtc' }),
    );
    await talkBothWays(tab, terminal, 'by TURN');
    expect(tab.errors).toEqual([]);
  } finally {
    await lab.end();
  }
});
