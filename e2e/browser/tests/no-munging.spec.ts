import { CHROMIUM, CHROMIUM_ARGS } from '../harness/chromium.ts';
import { expect, only, test } from '../harness/network.ts';
import { newTopic, PATIENCE } from '../harness/times.ts';
import { VersionOne } from '../harness/version-one.ts';

// Chromium as it will be: a page may not change the ICE user name in its own offer, as version 1 of
// WebRTC-direct wants it to.
test.use({
  launchOptions: {
    executablePath: CHROMIUM,
    args: [...CHROMIUM_ARGS, '--force-fieldtrials=WebRTC-NoSdpMangleUfrag/Enabled/'],
  },
});

test('where offers may not be changed, a page joins by WebRTC-direct', async ({ network }) => {
  const tab = await network.connect(only(network.node.address('webrtc-direct')));
  const topic = newTopic('no-munging');
  const terminal = await network.terminal(topic, 'terminal');
  await tab.join(topic, 'Ada');
  await tab.sees(terminal.peerId);
  await tab.say('as it will be');
  await terminal.hears(tab.peerId, 'as it will be');
  expect(tab.consoleErrors, 'errors in the console').toEqual([]);
});

test('where offers may not be changed, a server of version 1 alone is not reached', async ({
  network,
}) => {
  const front = await VersionOne.start(network.node.address('webrtc-direct'));
  network.endWith(front);
  const tab = await network.open(only(front.address));
  await expect(tab.status).toHaveAttribute('data-state', 'failed', { timeout: PATIENCE });
  await tab.openConnection();
  await expect(tab.page.getByText('No answer in time').first()).toBeVisible();
  expect(tab.consoleErrors, 'errors in the console').toEqual([]);
});
