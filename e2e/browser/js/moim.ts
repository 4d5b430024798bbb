// What docs/protocol.md says, as far as a member in JavaScript needs it.
import { publicKeyToProtobuf } from '@libp2p/crypto/keys';
import type { Ed25519PrivateKey } from '@libp2p/interface';
import { base64url } from 'multiformats/bases/base64';

export const PRESENCE_PROTOCOL = '/moim/presence/1.0.0';
export const MESSAGE_PROTOCOL = '/moim/message/1.0.0';

const PRESENCE_TTL = 120_000;
const PRESENCE_START = '{"v":1,"type":"presence",';

const text = new TextEncoder();

function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

async function sha256(...parts: Uint8Array[]): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', concat(parts)));
}

const hex = (bytes: Uint8Array): string =>
  [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');

/** The hash of a topic that is in normal form already. */
export async function topicHash(topic: string): Promise<string> {
  return hex(await sha256(text.encode(`/moim/topic/1/${topic}`)));
}

export const gossipTopic = (hash: string): string => `/moim/room/1/${hash}`;

export const messageId = (): string => hex(crypto.getRandomValues(new Uint8Array(16)));

/** "Message id" of the section "Rooms". */
export async function gossipMessageId(
  topic: string,
  from: Uint8Array,
  data: Uint8Array,
): Promise<Uint8Array> {
  const start = new TextDecoder().decode(data.subarray(0, PRESENCE_START.length));
  return await sha256(text.encode(topic), ...(start === PRESENCE_START ? [] : [from]), data);
}

function varint(number: number): Uint8Array {
  const bytes: number[] = [];
  let rest = number;
  while (rest > 127) {
    bytes.push((rest & 127) | 128);
    rest >>= 7;
  }
  return Uint8Array.from([...bytes, rest]);
}

const prefixed = (bytes: Uint8Array): Uint8Array => concat([varint(bytes.length), bytes]);

const field = (number: number, bytes: Uint8Array): Uint8Array =>
  concat([Uint8Array.from([(number << 3) | 2]), prefixed(bytes)]);

/** A `here` in its envelope, in base64url. */
export async function signedPresence(
  key: Ed25519PrivateKey,
  peer: string,
  topic: string,
  name: string,
  addresses: readonly string[],
): Promise<string> {
  const now = Date.now();
  const payload = text.encode(
    JSON.stringify({
      v: 1,
      type: 'presence',
      peer,
      topic,
      name,
      addresses,
      sequence: now,
      issued: now,
      expires: now + PRESENCE_TTL,
      state: 'here',
    }),
  );
  const domain = text.encode('moim-presence');
  const type = text.encode('/moim/presence/1');
  const signature = await key.sign(concat([prefixed(domain), prefixed(type), prefixed(payload)]));
  const envelope = concat([
    field(1, publicKeyToProtobuf(key.publicKey)),
    field(2, type),
    field(3, payload),
    field(5, signature),
  ]);
  return base64url.baseEncode(envelope);
}
