// A node of js-libp2p's DHT, to compare Moim's with. Run by `moim-bench dht` with
// `node js-dht.mjs [MULTIADDR of a node to enter by] [user]`. It says its address as a line of JSON once it is
// in the DHT, and then answers one line each: `known`, `put KEY`, `get KEY`.
import { createInterface } from 'node:readline';
import { noise } from '@chainsafe/libp2p-noise';
import { yamux } from '@chainsafe/libp2p-yamux';
import { identify } from '@libp2p/identify';
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht';
import { ping } from '@libp2p/ping';
import { tcp } from '@libp2p/tcp';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';

/** More than there are connections. */
const MANY = 100_000;

const encoder = new TextEncoder();
const value = encoder.encode('x'.repeat(100));

/** Node 20 does not have it yet, and libp2p needs it. */
function withResolvers(): object {
  const made = {};
  const promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return Object.assign(made, { promise });
}
if (!('withResolvers' in Promise)) {
  Object.assign(Promise, { withResolvers });
}

function say(what: object): void {
  console.log(JSON.stringify(what));
}

async function serve(entry: string | undefined, isUser: boolean): Promise<void> {
  const node = await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionManager: { maxConnections: MANY, inboundConnectionThreshold: MANY, maxIncomingPendingConnections: MANY },
    services: {
      identify: identify(),
      ping: ping(),
      dht: kadDHT({
        protocol: '/moim-bench/kad/1.0.0',
        clientMode: isUser,
        peerInfoMapper: passthroughMapper,
        // Else every query waits until it has looked itself up, for which it takes a second's time first.
        allowQueryWithZeroPeers: true,
        // Names in a key need both; neither looks at anything.
        validators: { bench: async () => {} },
        selectors: { bench: () => 0 },
      }),
    },
  });
  const dht = node.services.dht;
  // Its type does not tell of its routing table, nor does anything else say how many servers it knows.
  const { routingTable } = dht as typeof dht & { routingTable: { size: number } };
  if (entry !== undefined) {
    await node.dial(multiaddr(entry));
    while (routingTable.size === 0) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    for await (const _ of dht.getClosestPeers(node.peerId.toMultihash().bytes)) {
      // A lookup of its own id fills the table.
    }
  }
  say({ address: String(node.getMultiaddrs()[0]) });
  for await (const line of createInterface({ input: process.stdin })) {
    const [command, name] = [line.split(' ', 1)[0], line.slice(line.indexOf(' ') + 1)];
    if (command === 'known') {
      say({ known: routingTable.size });
      continue;
    }
    const key = encoder.encode(`/bench/${name}`);
    const started = performance.now();
    let done = false;
    if (command === 'put') {
      for await (const event of dht.put(key, value)) {
        done ||= event.name === 'PEER_RESPONSE' && event.messageName === 'PUT_VALUE';
      }
    } else {
      for await (const event of dht.get(key)) {
        if (event.name === 'VALUE') {
          done = true;
          break;
        }
      }
    }
    say({ took: performance.now() - started, done });
  }
}

await serve(process.argv[2], process.argv[3] === 'user');
