// js-libp2p, with what is measured and nothing else.
import { noise } from '@chainsafe/libp2p-noise';
import { yamux } from '@chainsafe/libp2p-yamux';
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2';
import { identify } from '@libp2p/identify';
import type { Connection, Libp2p, Stream } from '@libp2p/interface';
import { webRTC } from '@libp2p/webrtc';
import { webSockets } from '@libp2p/websockets';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import {
  CHUNK_BYTES,
  chunks,
  countBytes,
  countOf,
  MESSAGE_BYTES,
  pause,
  type Peer,
} from './peer.ts';

// What they do stands in bench/src/protocols.rs.
const ECHO = '/moim-bench/echo/1';
const REQUEST = '/moim-bench/request/1';
const UP = '/moim-bench/up/1';
const DOWN = '/moim-bench/down/1';

/** More streams than are ever open: none is to be refused for those that are still closing. */
const MANY = { maxInboundStreams: 4096, maxOutboundStreams: 4096 };

/** With a relay, it holds a reservation there. */
export async function startJs(relay?: string): Promise<Peer> {
  const node = await createLibp2p({
    addresses: { listen: relay === undefined ? [] : [`${relay}/p2p-circuit`, '/webrtc'] },
    transports: [
      webSockets(),
      circuitRelayTransport(),
      // Its own default are public STUN servers.
      webRTC({ rtcConfiguration: { iceServers: [] } }),
    ],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionManager: {
      // All pages of one machine are one host to it.
      inboundConnectionThreshold: Infinity,
    },
    // By default a browser does not dial this machine.
    connectionGater: { denyDialMultiaddr: () => false },
    services: { identify: identify() },
  });
  await node.handle(ECHO, echo, MANY);
  await node.handle(REQUEST, answerRequest, MANY);
  await node.handle(UP, take, MANY);
  await node.handle(DOWN, give, MANY);
  if (relay !== undefined) {
    await reserved(node);
  }
  return new JsPeer(node);
}

/** Waits until it can be dialled through its relay. */
async function reserved(node: Libp2p): Promise<void> {
  const found = (): boolean =>
    node.getMultiaddrs().some((address) => String(address).includes('/p2p-circuit/webrtc/'));
  if (!found()) {
    await new Promise<void>((resolve) => {
      node.addEventListener('self:peer:update', () => {
        if (found()) {
          resolve();
        }
      });
    });
  }
}

class JsPeer implements Peer {
  readonly #node: Libp2p;

  constructor(node: Libp2p) {
    this.#node = node;
  }

  get id(): string {
    return this.#node.peerId.toString();
  }

  async dial(address: string): Promise<number> {
    const target = multiaddr(address);
    const since = performance.now();
    await this.#node.dial(target);
    return performance.now() - since;
  }

  async upgrade(circuit: string): Promise<number> {
    const direct = multiaddr(circuit.replace('/p2p-circuit/', '/p2p-circuit/webrtc/'));
    const relayed = await this.#node.dial(multiaddr(circuit));
    const since = performance.now();
    const connection = await this.#node.dial(direct);
    const time = performance.now() - since;
    if (connection.limits !== undefined) {
      throw new Error('not a direct connection');
    }
    await relayed.close();
    return time;
  }

  async disconnect(peer: string): Promise<void> {
    await Promise.all(this.#connections(peer).map((connection) => connection.close()));
  }

  async roundTrips(peer: string, count: number): Promise<number[]> {
    const stream = await this.#open(peer, ECHO);
    const incoming = new Incoming(stream);
    const message = new Uint8Array(MESSAGE_BYTES);
    const times: number[] = [];
    for (let number = 0; number <= count; number += 1) {
      const since = performance.now();
      stream.send(message);
      await incoming.take(MESSAGE_BYTES);
      if (number > 0) {
        times.push(performance.now() - since);
      }
    }
    await stream.close();
    return times;
  }

  async requests(peer: string, count: number): Promise<number[]> {
    const message = new Uint8Array(MESSAGE_BYTES);
    const times: number[] = [];
    for (let number = 0; number < count; number += 1) {
      await pause();
      const since = performance.now();
      const stream = await this.#open(peer, REQUEST);
      const incoming = new Incoming(stream);
      stream.send(message);
      const closed = stream.close();
      await incoming.take(MESSAGE_BYTES);
      await incoming.end;
      times.push(performance.now() - since);
      await closed;
    }
    return times;
  }

  async up(peer: string, bytes: number): Promise<number> {
    const stream = await this.#open(peer, UP);
    const incoming = new Incoming(stream);
    const since = performance.now();
    stream.send(countBytes(bytes));
    await write(stream, bytes);
    await incoming.take(1);
    const time = performance.now() - since;
    await stream.close();
    return time;
  }

  async down(peer: string, bytes: number): Promise<number> {
    const stream = await this.#open(peer, DOWN);
    const incoming = new Incoming(stream);
    const since = performance.now();
    stream.send(countBytes(bytes));
    await incoming.take(bytes);
    const time = performance.now() - since;
    await stream.close();
    return time;
  }

  #connections(peer: string): Connection[] {
    return this.#node.getConnections().filter(({ remotePeer }) => remotePeer.toString() === peer);
  }

  async #open(peer: string, protocol: string): Promise<Stream> {
    const connection = this.#connections(peer).find(({ status }) => status === 'open');
    if (connection === undefined) {
      throw new Error(`not connected to ${peer}`);
    }
    return await connection.newStream(protocol, MANY);
  }
}

/** Counts what comes on a stream. */
class Incoming {
  /** Resolves when the other side has closed its half, which may be told before its last bytes. */
  readonly end: Promise<void>;
  readonly #broken: Promise<never>;
  #bytes = 0;
  #waiting: { bytes: number; resolve(): void } | undefined;

  constructor(stream: Stream) {
    this.end = new Promise((resolve) => {
      stream.addEventListener('remoteCloseWrite', () => resolve());
    });
    this.#broken = new Promise((_, reject) => {
      stream.addEventListener('close', ({ error }) => {
        if (error !== undefined) {
          reject(error);
        }
      });
    });
    this.#broken.catch(() => {});
    stream.addEventListener('message', ({ data }) => {
      this.#bytes += data.byteLength;
      this.#look();
    });
  }

  /** Waits for so many bytes. */
  async take(bytes: number): Promise<void> {
    const there = new Promise<void>((resolve) => {
      this.#waiting = { bytes, resolve };
      this.#look();
    });
    await Promise.race([there, this.#broken]);
  }

  #look(): void {
    if (this.#waiting !== undefined && this.#bytes >= this.#waiting.bytes) {
      this.#bytes -= this.#waiting.bytes;
      const { resolve } = this.#waiting;
      this.#waiting = undefined;
      resolve();
    }
  }
}

async function write(stream: Stream, bytes: number): Promise<void> {
  const chunk = new Uint8Array(CHUNK_BYTES);
  for (const size of chunks(bytes, CHUNK_BYTES)) {
    if (!stream.send(chunk.subarray(0, size))) {
      await drained(stream);
    }
  }
}

/**
 * Waits until more may be sent. `stream.onDrain` does so only the first time (@libp2p/utils 7.4), and
 * what is sent too early comes in frames that others refuse.
 */
function drained(stream: Stream): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (event: Event): void => {
      stream.removeEventListener('drain', end);
      stream.removeEventListener('close', end);
      if (event.type === 'drain') {
        resolve();
      } else {
        reject(new Error('the stream is closed'));
      }
    };
    stream.addEventListener('drain', end);
    stream.addEventListener('close', end);
  });
}

/** Calls back when the other side has closed its half and everything before that was passed on. */
function onEnd(stream: Stream, then: () => void): void {
  // It may have done so while the protocol was agreed on.
  if (stream.remoteWriteStatus === 'closed') {
    queueMicrotask(then);
  } else {
    stream.addEventListener('remoteCloseWrite', then);
  }
}

function echo(stream: Stream): void {
  stream.addEventListener('message', ({ data }) => void stream.send(data));
  onEnd(stream, () => void stream.close());
}

function answerRequest(stream: Stream): void {
  const request: Uint8Array[] = [];
  stream.addEventListener('message', ({ data }) => void request.push(data.subarray()));
  onEnd(stream, () => {
    for (const part of request) {
      stream.send(part);
    }
    void stream.close();
  });
}

function take(stream: Stream): void {
  let rest: number | undefined;
  stream.addEventListener('message', ({ data }) => {
    // The count comes in one piece: it is sent before anything else.
    rest = rest === undefined ? countOf(data.subarray(0, 8)) + 8 : rest;
    rest -= data.byteLength;
    if (rest === 0) {
      stream.send(new Uint8Array(1));
      void stream.close();
    }
  });
}

function give(stream: Stream): void {
  stream.addEventListener('message', ({ data }) => {
    void write(stream, countOf(data.subarray(0, 8))).then(() => stream.close());
  });
}
