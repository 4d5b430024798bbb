// A bare WebSocket: what the browser and the network take by themselves.
import { CHUNK_BYTES, chunks, countBytes, MESSAGE_BYTES, pause, type Peer } from './peer.ts';

export async function startPlain(): Promise<Peer> {
  return new PlainPeer();
}

function happens(socket: WebSocket, event: string): Promise<Event> {
  return new Promise((resolve, reject) => {
    socket.addEventListener(event, resolve, { once: true });
    socket.addEventListener('close', () => reject(new Error('the socket is closed')), {
      once: true,
    });
  });
}

async function open(url: string): Promise<WebSocket> {
  const socket = new WebSocket(url);
  socket.binaryType = 'arraybuffer';
  await happens(socket, 'open');
  return socket;
}

/** Waits for so many bytes. */
function receive(socket: WebSocket, bytes: number): Promise<void> {
  return new Promise((resolve) => {
    let rest = bytes;
    const take = ({ data }: MessageEvent): void => {
      rest -= data.byteLength;
      if (rest <= 0) {
        socket.removeEventListener('message', take);
        resolve();
      }
    };
    socket.addEventListener('message', take);
  });
}

/** What a socket is for, and a count. */
const purpose = (letter: string, count?: number): Uint8Array<ArrayBuffer> =>
  Uint8Array.from([letter.charCodeAt(0), ...(count === undefined ? [] : countBytes(count))]);

/** Peers are URLs here. */
class PlainPeer implements Peer {
  readonly id = '';
  #echo: WebSocket | undefined;

  async dial(url: string): Promise<number> {
    const since = performance.now();
    this.#echo = await open(url);
    const time = performance.now() - since;
    this.#echo.send(purpose('e'));
    return time;
  }

  async disconnect(): Promise<void> {
    if (this.#echo !== undefined) {
      const closed = new Promise((resolve) => this.#echo!.addEventListener('close', resolve));
      this.#echo.close();
      await closed;
      this.#echo = undefined;
    }
  }

  async roundTrips(_: string, count: number): Promise<number[]> {
    const times: number[] = [];
    for (let number = 0; number <= count; number += 1) {
      const time = await this.#roundTrip();
      if (number > 0) {
        times.push(time);
      }
    }
    return times;
  }

  /** There are no streams: a request is a message like any other. */
  async requests(_: string, count: number): Promise<number[]> {
    const times: number[] = [];
    for (let number = 0; number < count; number += 1) {
      await pause();
      times.push(await this.#roundTrip());
    }
    return times;
  }

  async #roundTrip(): Promise<number> {
    const since = performance.now();
    const back = receive(this.#echo!, MESSAGE_BYTES);
    this.#echo!.send(new Uint8Array(MESSAGE_BYTES));
    await back;
    return performance.now() - since;
  }

  async up(url: string, bytes: number): Promise<number> {
    const socket = await open(url);
    const message = new Uint8Array(CHUNK_BYTES);
    const all = receive(socket, 1);
    const since = performance.now();
    socket.send(purpose('u', bytes));
    for (const size of chunks(bytes, CHUNK_BYTES)) {
      // The browser takes it all.
      socket.send(message.subarray(0, size));
    }
    await all;
    const time = performance.now() - since;
    socket.close();
    return time;
  }

  async down(url: string, bytes: number): Promise<number> {
    const socket = await open(url);
    const all = receive(socket, bytes);
    const since = performance.now();
    socket.send(purpose('d', bytes));
    await all;
    const time = performance.now() - since;
    socket.close();
    return time;
  }
}
