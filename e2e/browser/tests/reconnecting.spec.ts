import { expect, test } from '../harness/network.ts';
import { newTopic } from '../harness/times.ts';

test('what is written while the page reconnects is kept, with the reason', async ({ network }) => {
  const topic = newTopic('reconnecting');
  const terminal = await network.terminal(topic, 'terminal');
  const tab = await network.connect();
  await tab.join(topic, 'Ada');
  await tab.sees(terminal.peerId);
  await terminal.sees(tab.peerId);
  const [room, direct] = [tab.page.getByTestId('room-input'), tab.page.getByTestId('direct-input')];
  const told = (where: string): ReturnType<typeof tab.page.locator> =>
    tab.page.locator(`${where} [role="alert"]`);

  // Nobody answers: neither the message on its way nor the farewell, which takes its two seconds then.
  const others = [terminal.program, network.node.program];
  others.forEach((program) => program.signal('SIGSTOP'));
  await tab.openDirect(terminal.peerId);
  const inFlight = await tab.sendDirect('on its way');
  await expect(inFlight).toHaveAttribute('data-state', 'sending');
  await direct.fill('for you');
  await tab.setBootstrap(network.node.address('ws'));

  await tab.say('for all');
  await tab.openDirect(terminal.peerId);
  await tab.page.getByTestId('direct-send').click();
  await expect(room).toHaveValue('for all');
  await expect(told('.room')).toHaveText(/reconnecting/);
  await expect(direct).toHaveValue('for you');
  await expect(told('.direct')).toHaveText(/reconnecting/);
  await expect(inFlight).toHaveAttribute('data-state', 'failed');
  await expect(inFlight).toContainText(/reconnecting/);
  await network.screenshot(tab, 'written-while-reconnecting');

  others.forEach((program) => program.signal('SIGCONT'));
  await tab.connected();
  await tab.sees(terminal.peerId);
  await tab.page.getByTestId('room-send').click();
  await terminal.hears(tab.peerId, 'for all');
  await tab.page.getByTestId('direct-send').click();
  await terminal.hearsDirect(tab.peerId, 'for you');
  await expect(told('.direct')).toHaveText('');
  await inFlight.getByRole('button', { name: 'Send again' }).click();
  await expect(inFlight).toHaveAttribute('data-state', 'delivered');
  await terminal.hearsDirect(tab.peerId, 'on its way');
  // Once each, and nothing else.
  await expect(tab.roomMessages(tab.peerId)).toHaveCount(1);
  expect(terminal.heardDirectlyFrom(tab.peerId).sort()).toEqual(['for you', 'on its way']);
});

test('what waited to be said comes back too, before what is being written', async ({ network }) => {
  const tab = await network.connect();
  await tab.join(newTopic('waited'), 'Ada');
  // 128 may be said at once, and eight a second after that (SAY in protocol/src/limits.rs).
  await tab.sayAtOnce(160);
  const room = tab.page.getByTestId('room-input');
  await room.fill('the next thought');
  await tab.setBootstrap(network.node.address('ws'));
  await expect(room).toHaveValue(/line 159\n[^]*the next thought$/);
  await expect(tab.page.locator('.room [role="alert"]')).toHaveText(/reconnecting/);
});

test('of two lists of bootstrap nodes that are saved one after the other the last one counts', async ({
  network,
}) => {
  const topic = newTopic('saved-twice');
  const second = await network.secondNode();
  const terminal = await network.terminal(topic, 'terminal', 'tcp', {}, second);
  const tab = await network.connect();
  await tab.join(topic, 'Ada');
  // The farewell takes its two seconds.
  network.node.program.signal('SIGSTOP');
  await tab.setBootstrap(network.node.address('ws'));
  await tab.page.getByTestId('sources-input').fill(second.address('ws'));
  await tab.page.getByTestId('sources-save').click();
  const node = tab.page.getByTestId('bootstrap-node');
  await expect(node).toContainText(second.address('ws'));
  await expect(node).toHaveAttribute('data-state', 'connected');
  await tab.sees(terminal.peerId);
  await tab.say('by the second one');
  await terminal.hears(tab.peerId, 'by the second one');
  network.node.program.signal('SIGCONT');
});
