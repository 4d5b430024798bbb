import { createHmac } from 'node:crypto';
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { crc32 } from 'node:zlib';

/** STUN: RFC 8489, sections 5 and 18. */
const HEADER = 20;
const COOKIE = 0x2112a442;
const REQUEST = 0x0001;
const RESPONSE = 0x0100;
const USERNAME = 0x0006;
const MESSAGE_INTEGRITY = 0x0008;
const FINGERPRINT = 0x8028;

/** How a client of version 2 calls the server: libp2p/specs, webrtc/webrtc-direct.md. */
const NAME = /^libp2p\+webrtc\+v2\/(?<password>[A-Za-z0-9+/]{22,239})$/;

interface Client {
  /** Towards the server, which tells clients apart by their ports. */
  readonly socket: Socket;
  /** Its own ICE name and password. */
  readonly name: string;
  readonly password: string;
  /** How it calls the server; the server's password as well. */
  readonly server: string;
}

/**
 * The same server on another port, where it speaks version 2 of WebRTC-direct and nothing else. ICE
 * proves to each side that the other knows its name and password: what goes between them is signed
 * anew, because for the server the client has the server's own.
 */
export class VersionTwo {
  /** Its address for WebRTC-direct. */
  readonly address: string;
  /** Names under which it was asked for. */
  readonly names = new Set<string>();
  readonly #front: Socket;
  readonly #port: number;
  readonly #clients = new Map<string, Client>();

  private constructor(front: Socket, address: string) {
    this.#front = front;
    const parts = address.split('/');
    this.#port = Number(parts[4]);
    parts[4] = String(front.address().port);
    this.address = parts.join('/');
    front.on('message', (message, from) => this.#fromClient(message, from));
  }

  /** In front of a server of version 1 at this address. */
  static async start(address: string): Promise<VersionTwo> {
    const front = createSocket('udp4');
    front.bind(0, '127.0.0.1');
    await once(front, 'listening');
    return new VersionTwo(front, address);
  }

  async end(): Promise<void> {
    this.#front.close();
    for (const { socket } of this.#clients.values()) {
      socket.close();
    }
  }

  #fromClient(message: Buffer, from: RemoteInfo): void {
    const stun = Stun.parse(message);
    const client = this.#client(stun, from);
    if (client === undefined) {
      return;
    }
    const { server, name, password } = client;
    let forwarded = message;
    if (stun?.type === REQUEST) {
      if (stun.username !== `${server}:${name}` || !stun.isSignedWith(server)) {
        return;
      }
      forwarded = stun.signed(server, `${server}:${server}`);
    } else if (stun !== undefined && (stun.type & RESPONSE) !== 0) {
      if (!stun.isSignedWith(password)) {
        return;
      }
      forwarded = stun.signed(server);
    }
    client.socket.send(forwarded, this.#port, '127.0.0.1');
  }

  #fromServer(message: Buffer, { server, name, password }: Client, to: RemoteInfo): void {
    const stun = Stun.parse(message);
    const forwarded =
      stun?.type === REQUEST ? stun.signed(password, `${name}:${server}`) : message;
    this.#front.send(forwarded, to.port, to.address);
  }

  /** Who sends from there. Of the first message of a client only its names are of use. */
  #client(stun: Stun | undefined, from: RemoteInfo): Client | undefined {
    const key = `${from.address}:${from.port}`;
    const known = this.#clients.get(key);
    if (known !== undefined) {
      return known;
    }
    const [server = '', name = '', ...more] = stun?.username?.split(':') ?? [];
    const password = NAME.exec(server)?.groups?.['password'];
    if (password === undefined || name === '' || more.length > 0) {
      return undefined;
    }
    this.names.add(server);
    const client: Client = { socket: createSocket('udp4'), server, name, password };
    client.socket.on('message', (message) => this.#fromServer(message, client, from));
    this.#clients.set(key, client);
    return client;
  }
}

interface Attribute {
  readonly type: number;
  readonly value: Buffer;
  /** Where it begins. */
  readonly at: number;
}

class Stun {
  readonly #message: Buffer;
  readonly #attributes: Attribute[] = [];

  private constructor(message: Buffer) {
    this.#message = message;
    let at = HEADER;
    while (at + 4 <= message.length) {
      const length = message.readUInt16BE(at + 2);
      const value = message.subarray(at + 4, at + 4 + length);
      this.#attributes.push({ type: message.readUInt16BE(at), value, at });
      at += 4 + padded(length);
    }
  }

  static parse(message: Buffer): Stun | undefined {
    const isStun = message.length >= HEADER && message.readUInt32BE(4) === COOKIE;
    return isStun ? new Stun(message) : undefined;
  }

  get type(): number {
    return this.#message.readUInt16BE(0);
  }

  get username(): string | undefined {
    return this.#attribute(USERNAME)?.value.toString();
  }

  isSignedWith(password: string): boolean {
    const signature = this.#attribute(MESSAGE_INTEGRITY);
    return (
      signature !== undefined &&
      sign(this.#message, signature.at, password).equals(signature.value)
    );
  }

  /** The same, signed with this password, and with this user name where one is given. */
  signed(password: string, username?: string): Buffer {
    const kept = this.#attributes
      .filter(({ type }) => type !== MESSAGE_INTEGRITY && type !== FINGERPRINT)
      .map(({ type, value }) => {
        const renamed = type === USERNAME && username !== undefined;
        return encode(type, renamed ? Buffer.from(username) : value);
      });
    let message = Buffer.concat([this.#message.subarray(0, HEADER), ...kept]);
    const signature = sign(message, message.length, password);
    message = Buffer.concat([message, encode(MESSAGE_INTEGRITY, signature)]);
    // The length in the header is with the fingerprint.
    message.writeUInt16BE(message.length - HEADER + 8, 2);
    const fingerprint = Buffer.alloc(4);
    fingerprint.writeUInt32BE((crc32(message) ^ 0x5354554e) >>> 0);
    return Buffer.concat([message, encode(FINGERPRINT, fingerprint)]);
  }

  #attribute(wanted: number): Attribute | undefined {
    return this.#attributes.find(({ type }) => type === wanted);
  }
}

const padded = (length: number): number => Math.ceil(length / 4) * 4;

function encode(type: number, value: Buffer): Buffer {
  const attribute = Buffer.alloc(4 + padded(value.length));
  attribute.writeUInt16BE(type, 0);
  attribute.writeUInt16BE(value.length, 2);
  value.copy(attribute, 4);
  return attribute;
}

/** The integrity of what comes before `end`: RFC 8489, section 14.5. */
function sign(message: Buffer, end: number, password: string): Buffer {
  const signed = Buffer.from(message.subarray(0, end));
  // The length in the header is with the integrity.
  signed.writeUInt16BE(end - HEADER + 24, 2);
  return createHmac('sha1', password).update(signed).digest();
}
