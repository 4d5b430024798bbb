// A bare RTCPeerConnection: what the browser takes by itself. Its two ends signal by a WebSocket to
// the server, which carries for them as a relay would.
import { chunks, MESSAGE_BYTES, pause, type Peer } from './peer.ts';

/** Frames of libp2p's WebRTC are no larger either. */
const MESSAGE_BYTES_MAX = 16 * 1024;

/** Bytes that wait in the browser: as many as Moim lets wait. */
const HIGH_WATER = 1024 * 1024;
const LOW_WATER = 256 * 1024;

/** What the ends say to each other, as lines of JSON. */
interface Signal {
  connection: number;
  description?: RTCSessionDescriptionInit;
  candidate?: RTCIceCandidateInit;
  bye?: boolean;
}

export async function startRaw(where?: string): Promise<Peer> {
  const socket = new WebSocket(where!);
  socket.binaryType = 'arraybuffer';
  await happens(socket, 'open');
  return new RawPeer(socket);
}

/** Resolves with an event. */
function happens(target: EventTarget, event: string): Promise<Event> {
  return new Promise((resolve) => target.addEventListener(event, resolve, { once: true }));
}

class RawPeer implements Peer {
  readonly id = '';
  readonly #socket: WebSocket;
  readonly #connections = new Map<number, RTCPeerConnection>();
  #text = '';
  #newest = 0;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    const decoder = new TextDecoder();
    socket.addEventListener('message', ({ data }) => {
      const lines = (this.#text + decoder.decode(data, { stream: true })).split('\n');
      this.#text = lines.pop()!;
      for (const line of lines) {
        void this.#onSignal(JSON.parse(line));
      }
    });
    // Says what the socket is for.
    this.#send('s');
  }

  /** There is nothing relayed: from nothing to an open channel. */
  async upgrade(): Promise<number> {
    this.#newest += 1;
    const since = performance.now();
    const connection = this.#connection(this.#newest);
    const channel = connection.createDataChannel('first');
    const open = happens(channel, 'open');
    const offer = await connection.createOffer();
    this.#signal({ connection: this.#newest, description: offer });
    await connection.setLocalDescription(offer);
    await open;
    return performance.now() - since;
  }

  async disconnect(): Promise<void> {
    for (const [number, connection] of this.#connections) {
      connection.close();
      this.#signal({ connection: number, bye: true });
    }
    this.#connections.clear();
  }

  async roundTrips(_: string, count: number): Promise<number[]> {
    const channel = await this.#open('echo');
    const message = new Uint8Array(MESSAGE_BYTES);
    const times: number[] = [];
    for (let number = 0; number <= count; number += 1) {
      const since = performance.now();
      channel.send(message);
      await happens(channel, 'message');
      if (number > 0) {
        times.push(performance.now() - since);
      }
    }
    channel.close();
    return times;
  }

  async requests(_: string, count: number): Promise<number[]> {
    const message = new Uint8Array(MESSAGE_BYTES);
    const times: number[] = [];
    for (let number = 0; number < count; number += 1) {
      await pause();
      const since = performance.now();
      const channel = await this.#open('echo');
      channel.send(message);
      await happens(channel, 'message');
      times.push(performance.now() - since);
      channel.close();
    }
    return times;
  }

  async up(_: string, bytes: number): Promise<number> {
    const channel = await this.#open(`take ${bytes}`);
    channel.bufferedAmountLowThreshold = LOW_WATER;
    const message = new Uint8Array(MESSAGE_BYTES_MAX);
    const all = happens(channel, 'message');
    const since = performance.now();
    for (const size of chunks(bytes, MESSAGE_BYTES_MAX)) {
      if (channel.bufferedAmount >= HIGH_WATER) {
        await happens(channel, 'bufferedamountlow');
      }
      channel.send(message.subarray(0, size));
    }
    await all;
    const time = performance.now() - since;
    channel.close();
    return time;
  }

  async #open(label: string): Promise<RTCDataChannel> {
    const channel = this.#connections.get(this.#newest)!.createDataChannel(label);
    channel.binaryType = 'arraybuffer';
    await happens(channel, 'open');
    return channel;
  }

  #connection(number: number): RTCPeerConnection {
    const connection = new RTCPeerConnection();
    this.#connections.set(number, connection);
    connection.addEventListener('icecandidate', ({ candidate }) => {
      if (candidate !== null && candidate.candidate !== '') {
        this.#signal({ connection: number, candidate: candidate.toJSON() });
      }
    });
    connection.addEventListener('datachannel', ({ channel }) => answer(channel));
    return connection;
  }

  async #onSignal({ connection: number, description, candidate, bye }: Signal): Promise<void> {
    let connection = this.#connections.get(number);
    if (description?.type === 'offer') {
      connection = this.#connection(number);
      // In this order: candidates of the other side may come from now on.
      await connection.setRemoteDescription(description);
      const own = await connection.createAnswer();
      this.#signal({ connection: number, description: own });
      await connection.setLocalDescription(own);
    } else if (description !== undefined) {
      await connection?.setRemoteDescription(description);
    } else if (candidate !== undefined) {
      await connection?.addIceCandidate(candidate);
    } else if (bye === true) {
      connection?.close();
      this.#connections.delete(number);
    }
  }

  #signal(signal: Signal): void {
    this.#send(`${JSON.stringify(signal)}\n`);
  }

  #send(text: string): void {
    this.#socket.send(new TextEncoder().encode(text));
  }
}

/** The other end of a channel. */
function answer(channel: RTCDataChannel): void {
  channel.binaryType = 'arraybuffer';
  const [purpose, count] = channel.label.split(' ');
  let rest = Number(count);
  channel.addEventListener('message', ({ data }) => {
    if (purpose === 'echo') {
      channel.send(data);
    } else if (purpose === 'take') {
      rest -= data.byteLength;
      if (rest === 0) {
        channel.send(new Uint8Array(1));
      }
    }
  });
}
