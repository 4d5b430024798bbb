import { expect, test } from '../harness/network.ts';
import { LEFT_WITHIN, newTopic, PATIENCE, SEEN_WITHIN } from '../harness/times.ts';

/** Messages that each peer says in the room. */
const EACH = 5;

const said = (name: string): string[] =>
  [...Array(EACH).keys(), 'the end'].map((what) => `${name} says ${what}.`);

test('two pages and two terminal peers: see, talk, receipts, leave', async ({ network }) => {
  const topic = newTopic('global-chat');
  const tabs = [await network.connect(), await network.connect()] as const;
  const terminals = [
    await network.terminal(topic, 'tcp', 'tcp'),
    await network.terminal(topic, 'quic', 'quic'),
  ] as const;
  await tabs[0].join(topic, 'page one');
  const lastJoined = await tabs[1].join(topic, 'page two');
  const peers = [
    { name: 'page one', peer: tabs[0] },
    { name: 'page two', peer: tabs[1] },
    { name: 'tcp', peer: terminals[0] },
    { name: 'quic', peer: terminals[1] },
  ];
  const others = ({ peerId }: { peerId: string }): typeof peers =>
    peers.filter(({ peer }) => peer.peerId !== peerId);

  await test.step('each sees the three others within 5 s of joining', async () => {
    const seen = peers.flatMap(({ peer }) =>
      others(peer).map((other) => peer.sees(other.peer.peerId)),
    );
    const slowest = Math.max(...(await Promise.all(seen))) - lastJoined;
    console.log(`    everybody sees everybody ${Math.round(slowest)} ms after the last joined`);
    expect(slowest).toBeLessThanOrEqual(SEEN_WITHIN);
    for (const tab of tabs) {
      await expect(tab.members).toHaveCount(3);
    }
  });

  await test.step('each room message reaches all three others exactly once', async () => {
    for (const { name, peer } of peers) {
      for (const text of said(name)) {
        await peer.say(text);
      }
    }
    for (const terminal of terminals) {
      for (const { name, peer } of others(terminal)) {
        await terminal.hears(peer.peerId, said(name).at(-1)!);
        expect(terminal.heardFrom(peer.peerId)).toEqual(said(name));
      }
    }
    for (const tab of tabs) {
      for (const { name, peer } of others(tab)) {
        await tab.hears(peer.peerId, said(name).at(-1)!);
        const shown = await tab.roomMessages(peer.peerId).allInnerTexts();
        expect(shown).toHaveLength(EACH + 1);
        said(name).forEach((text, number) => expect(shown[number]).toContain(text));
      }
    }
  });

  await test.step('each direct message gets a true receipt', async () => {
    for (const tab of tabs) {
      for (const { name, peer } of others(tab)) {
        const text = `for ${name} only`;
        await tab.openDirect(peer.peerId);
        const sent = await tab.sendDirect(text);
        await expect(sent).toHaveAttribute('data-state', 'delivered', { timeout: PATIENCE });
      }
    }
    for (const terminal of terminals) {
      for (const tab of tabs) {
        const text = `for ${terminal.name} only`;
        await terminal.hearsDirect(tab.peerId, text);
        expect(terminal.heardDirectlyFrom(tab.peerId)).toEqual([text]);
      }
      for (const { name, peer } of others(terminal)) {
        terminal.send(peer.peerId, `for ${name} only`);
        const receipt = await terminal.wait(
          `a receipt of ${name}`,
          (event) => event.type === 'receipt' && event['to'] === peer.peerId,
        );
        expect(receipt['state']).toBe('delivered');
      }
    }
    // What was receipted is there.
    for (const [number, tab] of tabs.entries()) {
      for (const { peer } of others(tab)) {
        await tab.openDirect(peer.peerId);
        const got = tab.directMessages(peer.peerId);
        await expect(got).toHaveCount(1);
        await expect(got).toContainText(`for ${peers[number]!.name} only`);
      }
    }
  });

  await test.step('a leave shows within 2 s', async () => {
    const [leaver, ...stay] = [terminals[0], tabs[0], tabs[1], terminals[1]] as const;
    const mark = stay[2].mark();
    const asked = await leaver.leave();
    const gone = Promise.all([
      stay[0].loses(leaver.peerId),
      stay[1].loses(leaver.peerId),
      stay[2].loses(leaver.peerId, mark).then(({ at }) => at),
    ]);
    expect(Math.max(...(await gone)) - asked).toBeLessThanOrEqual(LEFT_WITHIN);

    const second = stay[2].mark();
    const pressed = await tabs[0].leaveRoom();
    const event = await stay[2].loses(tabs[0].peerId, second);
    const seen = await tabs[1].loses(tabs[0].peerId);
    expect(event['reason']).toBe('left');
    expect(Math.max(event.at, seen) - pressed).toBeLessThanOrEqual(LEFT_WITHIN);
  });
});
