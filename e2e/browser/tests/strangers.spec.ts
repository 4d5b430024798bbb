import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { expect, test } from '../harness/network.ts';
import { newTopic, PATIENCE } from '../harness/times.ts';

/** Listens at every address of this machine, where nobody should call. */
class Canary {
  readonly #server: Server;
  readonly calls: string[] = [];

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket) => {
      this.calls.push(`${socket.remoteAddress} to ${socket.localAddress}`);
      socket.destroy();
    });
  }

  static async listen(): Promise<Canary> {
    const server = createServer();
    const canary = new Canary(server);
    await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
    return canary;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Where the rules forbid to dial: what a member names leads there. */
  addresses(): string[] {
    const path = encodeURIComponent('/goform/reboot?now=1');
    return [
      `/ip4/127.0.0.1/tcp/${this.port}/x-parity-ws/${path}`,
      `/ip4/127.0.0.1/tcp/${this.port}/ws/http-path/${path}`,
      `/ip4/127.0.0.2/tcp/${this.port}/ws`,
      `/ip4/0.0.0.0/tcp/${this.port}/ws`,
      `/ip6/::ffff:127.0.0.1/tcp/${this.port}/ws`,
      `/dns4/localhost/tcp/${this.port}/ws`,
      `/dns/localhost/tcp/${this.port}/tls/ws`,
    ];
  }

  /** That nobody has called would say nothing if calls were not noticed. */
  async isHeedful(): Promise<boolean> {
    const before = this.calls.length;
    const socket = connect(this.port, '127.0.0.1');
    await new Promise((resolve) => socket.once('close', resolve));
    return this.calls.length > before;
  }

  close(): void {
    this.#server.close();
  }
}

test('a page and a program call nobody but peers, whatever a member names', async ({ network }) => {
  const topic = newTopic('named');
  const canary = await Canary.listen();
  const terminal = await network.terminal(topic, 'terminal', 'tcp', { args: ['--listen', 'none'] });
  const js = await network.jsPeer();
  await js.dial(`${network.node.address('ws')}/p2p-circuit/webrtc/p2p/${terminal.peerId}`);
  await js.join(topic, 'Jay', terminal.peerId, canary.addresses());
  await terminal.sees(js.peerId);

  const tab = await network.connect();
  await tab.join(topic, 'Ada');
  await tab.sees(js.peerId);
  // All of them have been tried, and there is no other way to it.
  await expect(tab.member(js.peerId)).toHaveAttribute('data-path', 'unconnected', { timeout: PATIENCE });
  // And once more by a program that is not connected to it either.
  const other = await network.terminal(topic, 'other', 'tcp');
  await other.wait(
    'the member out of reach',
    ({ type, peer, path }) => /^member_/.test(String(type)) && peer === js.peerId && path === 'unconnected',
    { within: PATIENCE },
  );
  expect(canary.calls).toEqual([]);
  expect(await canary.isHeedful()).toBe(true);
  canary.close();
});
