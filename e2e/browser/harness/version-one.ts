import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';

/** What checks of version 2 of WebRTC-direct have in them: libp2p/specs, webrtc/webrtc-direct.md. */
const VERSION_TWO = Buffer.from('libp2p+webrtc+v2/');

/** The same server on another port, where it answers to version 1 of WebRTC-direct and nothing else. */
export class VersionOne {
  /** Its address for WebRTC-direct. */
  readonly address: string;
  readonly #front: Socket;
  readonly #port: number;
  readonly #clients = new Map<string, Socket>();

  private constructor(front: Socket, address: string) {
    this.#front = front;
    const parts = address.split('/');
    this.#port = Number(parts[4]);
    parts[4] = String(front.address().port);
    this.address = parts.join('/');
    front.on('message', (message, from) => {
      if (!message.includes(VERSION_TWO)) {
        this.#client(from).send(message, this.#port, '127.0.0.1');
      }
    });
  }

  /** In front of a server at this address. */
  static async start(address: string): Promise<VersionOne> {
    const front = createSocket('udp4');
    front.bind(0, '127.0.0.1');
    await once(front, 'listening');
    return new VersionOne(front, address);
  }

  async end(): Promise<void> {
    this.#front.close();
    for (const socket of this.#clients.values()) {
      socket.close();
    }
  }

  /** A socket for each client: the server tells them apart by their ports. */
  #client({ address, port }: RemoteInfo): Socket {
    const key = `${address}:${port}`;
    const known = this.#clients.get(key);
    if (known !== undefined) {
      return known;
    }
    const socket = createSocket('udp4');
    socket.on('message', (message) => this.#front.send(message, port, address));
    this.#clients.set(key, socket);
    return socket;
  }
}
