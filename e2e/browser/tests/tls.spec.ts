import { rm } from 'node:fs/promises';
import { Certificate } from '../harness/certificates.ts';
import { CHROMIUM, CHROMIUM_ARGS } from '../harness/chromium.ts';
import { expect, test } from '../harness/network.ts';
import { pageFolder } from '../harness/programs.ts';
import { Tab } from '../harness/tab.ts';
import { newTopic } from '../harness/times.ts';

const certificate = await Certificate.make();

test.use({
  launchOptions: {
    executablePath: CHROMIUM,
    // This key is trusted, and no other.
    args: [
      ...CHROMIUM_ARGS,
      `--ignore-certificate-errors-spki-list=${await certificate.spkiHash()}`,
    ],
  },
});

test.afterAll(async () => {
  await rm(certificate.folder, { recursive: true, force: true });
});

test('a page that came by HTTPS joins by secure WebSocket, and stays when the certificate is renewed', async ({
  network,
}) => {
  const args = [...certificate.args, '--web', pageFolder()];
  // There is no other way in for a page.
  const node = await network.secondNode({ args, off: ['ws', 'webrtc-direct'] });
  const topic = newTopic('tls');
  const terminal = await network.terminal(topic, 'terminal', 'tcp', {}, node);

  const tab = new Tab(await (await network.newContext()).newPage());
  network.tabs.push(tab);
  await tab.page.goto(`${node.https}/`);
  await tab.connected();
  await tab.readPeerId();
  await tab.join(topic, 'Ada');
  await tab.sees(terminal.peerId);
  await tab.say('safe and sound');
  await terminal.hears(tab.peerId, 'safe and sound');
  const wss = 'moim_bootstrap_connections{transport="wss",direction="inbound"}';
  expect(await node.metric(wss)).toBe(1);

  await certificate.renew();
  await node.program.pick('the new certificate', ({ text }) =>
    text.includes('the certificate has changed and is in use') ? true : undefined,
  );
  await tab.say('still here');
  await terminal.hears(tab.peerId, 'still here');
  // Whoever comes now gets the new one.
  const second = new Tab(await (await network.newContext()).newPage());
  network.tabs.push(second);
  await second.page.goto(`${node.https}/`);
  await second.connected();
  expect(await node.metric(wss)).toBe(2);
  for (const { consoleErrors } of network.tabs) {
    expect(consoleErrors, 'errors in the console').toEqual([]);
  }
});
