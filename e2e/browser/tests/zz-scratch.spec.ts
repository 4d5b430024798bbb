import { expect, test } from '../harness/network.ts';
import { now } from '../harness/times.ts';
test('scratch: node hung', async ({ network }) => {
  test.setTimeout(200_000);
  network.webrtcErrorsAreKnown = true;
  const tab = await network.connect();
  const t = now();
  network.node.program.signal('SIGSTOP');
  await expect(tab.status).toHaveAttribute('data-state', 'reconnecting', { timeout: 150_000 }).catch((e) => console.log('never', String(e).slice(0, 80)));
  console.log(`    noticed after ${Math.round(now() - t)}`);
  network.node.program.signal('SIGCONT');
});
test('scratch: setOffline only', async ({ network }) => {
  test.setTimeout(200_000);
  network.webrtcErrorsAreKnown = true;
  const context = await network.newContext();
  const tab = await network.connect({ context });
  await context.setOffline(true);
  console.log('    onLine', await tab.page.evaluate(() => navigator.onLine));
  const t = now();
  await expect(tab.status).not.toHaveAttribute('data-state', 'connected', { timeout: 150_000 }).catch((e) => console.log('never', String(e).slice(0, 80)));
  console.log(`    noticed after ${Math.round(now() - t)}`, await tab.status.getAttribute('data-state'));
});
