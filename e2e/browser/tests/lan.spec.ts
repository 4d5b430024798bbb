import { expect, test } from '@playwright/test';
import { Lab } from '../harness/lab.ts';
import { becomeDirect, newTopic } from '../harness/times.ts';

test.skip(
  process.env['MOIM_NAT_LAB'] === undefined,
  'networks of their own need root on Linux: set MOIM_NAT_LAB=1 where `cargo xtask test` does not',
);

/** How long two peers of one lan may take from seeing each other to being connected directly. */
const DIRECT_WITHIN = 5_000;

test('on a lan, by the page of a node there, pages and terminal peers are connected directly and talk', async () => {
  const lab = await Lab.lan();
  try {
    const topic = newTopic('lan');
    const near = await lab.connect('a');
    await near.join(topic, 'near');
    const far = await lab.connect('b');
    await far.join(topic, 'far');
    const terminals = [await lab.terminal('a', topic), await lab.terminal('b', topic)] as const;
    for (const tab of [near, far]) {
      for (const peer of [...lab.tabs, ...terminals].filter((peer) => peer !== tab)) {
        await tab.sees(peer.peerId);
        expect(await becomeDirect(tab, peer)).toBeLessThanOrEqual(DIRECT_WITHIN);
      }
    }
    expect(await becomeDirect(terminals[0], terminals[1])).toBeLessThanOrEqual(DIRECT_WITHIN);

    await near.say('to all of the lan');
    await far.hears(near.peerId, 'to all of the lan');
    for (const terminal of terminals) {
      await terminal.hears(near.peerId, 'to all of the lan');
    }
    terminals[1].send(near.peerId, 'to one of them');
    await near.openDirect(terminals[1].peerId);
    await expect(near.directMessages(terminals[1].peerId)).toHaveText([/to one of them/]);
    expect(lab.tabs.flatMap(({ errors }) => errors)).toEqual([]);
  } finally {
    await lab.end();
  }
});
