import { expect, test } from '../harness/network.ts';
import type { Network } from '../harness/network.ts';
import { pairs, relayedOnly, type Traced } from '../harness/relayed-only.ts';
import type { Tab } from '../harness/tab.ts';
import { newTopic, PATIENCE } from '../harness/times.ts';

// Where these pages are connected without the node's relay, it can only be by way of its TURN server.
test.use({ args: ['--turn', 'on'] });

async function connect(network: Network, credential?: string): Promise<Tab> {
  const context = await network.newContext();
  await context.addInitScript(relayedOnly, credential);
  return await network.connect({ context });
}

const turn = (network: Network, name: string): Promise<number> =>
  network.node.metric(`moim_bootstrap_turn_${name}`);

test('two pages that need TURN are connected by it, say so, and talk', async ({ network }) => {
  const topic = newTopic('turn');
  const [one, two] = [await connect(network), await connect(network)];
  expect(await turn(network, 'allocations_accepted_total')).toBe(0);
  await one.join(topic, 'Ada');
  await two.join(topic, '보라');
  await Promise.all([one.sees(two.peerId), two.sees(one.peerId)]);
  await one.reaches(two.peerId, 'turn');
  await two.reaches(one.peerId, 'turn');
  const circuits = (): Promise<number> => network.node.metric('moim_bootstrap_relay_circuits');
  await expect.poll(circuits, { timeout: PATIENCE }).toBe(0);
  expect(await pairs(one)).toContainEqual('relay relay');
  expect(await pairs(two)).toContainEqual('relay relay');

  const toPeer = 'bytes_total{direction="ToPeer"}';
  const before = await turn(network, toPeer);
  const text = '모'.repeat(5_000);
  await one.openConnection();
  const row = one.page.getByTestId('connection').and(one.page.locator(`[data-peer="${two.peerId}"]`));
  await expect(row).toHaveAttribute('data-path', 'turn');
  await expect(row).toContainText('through a TURN server');
  await one.openRoom();
  await expect(one.member(two.peerId)).toContainText('By TURN');
  await one.openDirect(two.peerId);
  for (let number = 0; number < 10; number += 1) {
    const sent = await one.sendDirect(`${number} ${text}`);
    await expect(sent).toHaveAttribute('data-state', 'delivered');
    await expect(sent).toContainText('Delivered, by TURN');
  }
  await one.openRoom();
  await one.talkTo(two);
  await two.talkTo(one);
  expect(await circuits()).toBe(0);
  // What was said has 15,000 bytes, ten times.
  expect((await turn(network, toPeer)) - before).toBeGreaterThan(150_000);
  expect(await turn(network, 'bytes_total{direction="ToClient"}')).toBeGreaterThan(150_000);
  expect(await turn(network, 'allocations')).toBeGreaterThanOrEqual(2);
  // A connection that is closed gives its port back.
  for (const tab of [one, two]) {
    await tab.page.evaluate(() => {
      (window as unknown as Traced).connections.forEach((connection) => connection.close());
    });
  }
  await expect.poll(() => turn(network, 'allocations'), { timeout: PATIENCE }).toBe(0);
});

test('pages whose credentials are refused stay relayed, and say why', async ({ network }) => {
  const topic = newTopic('turn-refused');
  const one = await connect(network, 'no longer good');
  const two = await connect(network, 'no longer good');
  await one.join(topic, 'Ada');
  await two.join(topic, '보라');
  await Promise.all([one.sees(two.peerId), two.sees(one.peerId)]);
  await one.openConnection();
  const why = one.page.getByTestId('not-direct').first();
  await expect(why).toBeVisible({ timeout: PATIENCE });
  await expect(why).toContainText('no longer takes the credentials that it gave (error 401)');
  const refusals = (): Promise<number[]> =>
    one.page.evaluate(() => (window as unknown as Traced).refusals);
  await expect.poll(refusals, { timeout: PATIENCE }).toContain(401);
  expect(await turn(network, 'refused_total{reason="Credentials"}')).toBeGreaterThan(0);
  expect(await turn(network, 'allocations_accepted_total')).toBe(0);
  await one.openRoom();
  await expect(one.member(two.peerId)).toHaveAttribute('data-path', 'relayed');
  await one.say('by the relay');
  await two.hears(one.peerId, 'by the relay');
});

/** The seconds since 1970 at which the credentials of its connections expire. */
async function expiries(tab: Tab): Promise<number[]> {
  return await tab.page.evaluate(() =>
    (window as unknown as Traced).connections
      .flatMap((connection) => connection.getConfiguration().iceServers ?? [])
      .map(({ username }) => Number(username?.split(':')[0])),
  );
}

test.describe('with credentials that last for seconds', () => {
  test.use({ args: ['--turn', 'on', '--turn-ttl', '14'] });

  test('a page has new ones before they expire', async ({ network }) => {
    const topic = newTopic('turn-renewed');
    const [one, two] = [await connect(network), await connect(network)];
    await one.join(topic, 'Ada');
    await two.join(topic, '보라');
    await one.reaches(two.peerId, 'turn');
    const first = Math.max(...(await expiries(one)));
    await two.page.close();
    await expect.poll(() => Date.now() / 1_000, { timeout: PATIENCE }).toBeGreaterThan(first);
    const three = await connect(network);
    await three.join(topic, '다솜');
    await one.reaches(three.peerId, 'turn');
    await one.talkTo(three);
    expect(Math.max(...(await expiries(one)))).toBeGreaterThan(first);
    expect(await turn(network, 'refused_total{reason="Credentials"}')).toBe(0);
  });
});
