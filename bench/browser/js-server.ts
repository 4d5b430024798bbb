// A js-libp2p server to compare Moim's bootstrap node with: identify and ping, by WebSocket and TCP,
// with its limits raised as far as there are any. It says where it listens as a line of JSON; on `gc` it
// collects its garbage and says so. Run by `moim-bench node` with `node --expose-gc`.
import { createInterface } from 'node:readline';
import { noise } from '@chainsafe/libp2p-noise';
import { yamux } from '@chainsafe/libp2p-yamux';
import { identify } from '@libp2p/identify';
import { ping } from '@libp2p/ping';
import { tcp } from '@libp2p/tcp';
import { webSockets } from '@libp2p/websockets';
import { createLibp2p } from 'libp2p';

/** More than there are connections. */
const MANY = 100_000;

/** Longer than it takes this machine to serve everybody who waits, in ms. */
const LONG = 60_000;

/** Node 20 does not have it yet, and libp2p needs it. */
function withResolvers(): object {
  const made = {};
  const promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return Object.assign(made, { promise });
}
if (!('withResolvers' in Promise)) {
  Object.assign(Promise, { withResolvers });
}

async function serve(): Promise<void> {
  const node = await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0/ws', '/ip4/127.0.0.1/tcp/0'] },
    transports: [webSockets(), tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionManager: {
      maxConnections: MANY,
      inboundConnectionThreshold: MANY,
      maxIncomingPendingConnections: MANY,
      inboundUpgradeTimeout: LONG,
    },
    services: { identify: identify(), ping: ping() },
  });
  console.log(JSON.stringify({ addresses: node.getMultiaddrs().map(String) }));
  for await (const _ of createInterface({ input: process.stdin })) {
    globalThis.gc?.();
    console.log('{}');
  }
}

await serve();
