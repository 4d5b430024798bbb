// A member written with js-libp2p, for a page of its own: another implementation of everything that
// goes over the wire. The test calls it as `jsPeer`.
import { noise } from '@chainsafe/libp2p-noise';
import { yamux } from '@chainsafe/libp2p-yamux';
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { gossipsub, type GossipSub } from '@libp2p/gossipsub';
import { identify, type Identify } from '@libp2p/identify';
import type { Connection, Ed25519PrivateKey, Libp2p, Stream } from '@libp2p/interface';
import { ping, type Ping } from '@libp2p/ping';
import { webRTC } from '@libp2p/webrtc';
import { webSockets } from '@libp2p/websockets';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import {
  gossipMessageId,
  gossipTopic,
  MESSAGE_PROTOCOL,
  messageId,
  PRESENCE_PROTOCOL,
  signedPresence,
  topicHash,
} from './moim.ts';

type Services = { identify: Identify; ping: Ping; gossip: GossipSub };

/** A ping takes milliseconds; who waits for a timer of the other side's waits for up to 10 s. */
const PING_WITHIN = 5_000;

/** Opening a stream takes milliseconds too. */
const OPENED_WITHIN = 3_000;

/** Moim's own protocols run on every connection. */
const RELAYED_TOO = { runOnLimitedConnection: true };

/** A message: a direct one, or one said in a room. */
export interface Heard {
  from: string;
  text: string;
  room?: boolean;
}

class JsPeer {
  readonly heard: Heard[] = [];
  /** What was said in rooms in a type that is none of today's. */
  readonly later: string[] = [];
  readonly #session = Date.now();
  #said = 0;
  #node!: Libp2p<Services>;
  #key!: Ed25519PrivateKey;

  /** Starts it with a place at a relay; answers its peer id once it has a `/webrtc` address there. */
  async start(relay: string): Promise<string> {
    this.#key = await generateKeyPair('Ed25519');
    this.#node = await createLibp2p<Services>({
      privateKey: this.#key,
      addresses: { listen: [`${relay}/p2p-circuit`, '/webrtc'] },
      transports: [
        webSockets(),
        circuitRelayTransport(),
        // Its own default are public STUN servers.
        webRTC({ rtcConfiguration: { iceServers: [] } }),
      ],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
      // By default a browser does not dial this machine.
      connectionGater: { denyDialMultiaddr: () => false },
      services: {
        identify: identify(),
        ping: ping(),
        // On direct connections only: it would not leave a relayed one before that is closed.
        gossip: gossipsub({
          globalSignaturePolicy: 'StrictSign',
          msgIdFn: (message) => {
            if (message.type !== 'signed') {
              throw new Error('not signed');
            }
            return gossipMessageId(
              message.topic,
              message.from.toMultihash().bytes,
              message.data,
            );
          },
        }),
      },
    });
    await this.#node.handle(
      MESSAGE_PROTOCOL,
      (stream, connection) =>
        this.#answer(stream, (request) => this.#onMessage(request, connection)),
      RELAYED_TOO,
    );
    await this.#node.handle(
      PRESENCE_PROTOCOL,
      (stream) => this.#answer(stream, () => ({ v: 1, type: 'accepted' })),
      RELAYED_TOO,
    );
    this.#node.services.gossip.addEventListener('gossipsub:message', ({ detail: { msg } }) => {
      const said = JSON.parse(new TextDecoder().decode(msg.data));
      if (msg.type === 'signed' && said.type === 'text') {
        this.heard.push({ from: msg.from.toString(), text: said.text, room: true });
      } else if (said.type === 'reaction') {
        this.later.push(said.with);
      }
    });
    await this.#ownAddress();
    return this.#node.peerId.toString();
  }

  async #ownAddress(): Promise<string> {
    const found = (): string | undefined =>
      this.#node
        .getMultiaddrs()
        .map(String)
        .find((address) => address.includes('/p2p-circuit/webrtc/'));
    const address = found();
    if (address !== undefined) {
      return address;
    }
    return await new Promise((resolve) => {
      this.#node.addEventListener('self:peer:update', () => {
        const address = found();
        if (address !== undefined) {
          resolve(address);
        }
      });
    });
  }

  /** Dials; answers the address that the connection has. */
  async dial(address: string): Promise<string> {
    return String((await this.#node.dial(multiaddr(address))).remoteAddr);
  }

  #connection(peer: string): Connection {
    const open = this.#node
      .getConnections()
      .filter(({ remotePeer, status }) => remotePeer.toString() === peer && status === 'open');
    // A relayed connection has limits, and goes when there is a direct one.
    const connection = open.find(({ limits }) => limits === undefined) ?? open[0];
    if (connection === undefined) {
      throw new Error(`not connected to ${peer}`);
    }
    return connection;
  }

  /** The addresses of the open connections to a peer. */
  connections(peer: string): string[] {
    return this.#node
      .getConnections()
      .filter((open) => open.remotePeer.toString() === peer)
      .map((open) => String(open.remoteAddr));
  }

  /** What a peer called itself when it was identified. */
  async agent(peer: string): Promise<string> {
    const { metadata } = await this.#node.peerStore.get(this.#connection(peer).remotePeer);
    return new TextDecoder().decode(metadata.get('AgentVersion'));
  }

  /** Pings on a stream of its own, which is closed before the answer, and acknowledged at once. */
  async ping(peer: string): Promise<void> {
    await this.#node.services.ping.ping(this.#connection(peer).remotePeer, {
      signal: AbortSignal.timeout(PING_WITHIN),
    });
  }

  /**
   * Asks a member so many times who is in a room, each time on a stream of its own; more often than it
   * tells. Answers how many streams could not be opened: Chromium uses the number of a channel again as soon as it knows that it
   * is free, and where the other side learns that later, the new channel is lost.
   */
  async askForMembers(topic: string, member: string, times: number): Promise<number> {
    const request = { v: 1, type: 'sync', topic: await topicHash(topic) };
    let lost = 0;
    for (let time = 0; time < times; time += 1) {
      const stream = await this.#open(member, PRESENCE_PROTOCOL, OPENED_WITHIN).catch(() => undefined);
      if (stream === undefined) {
        lost += 1;
        continue;
      }
      const list = await this.#askOn(stream, request);
      if (list['type'] !== 'members' && list['code'] !== 'busy') {
        throw new Error(JSON.stringify(list));
      }
    }
    return lost;
  }

  /** Listens to what is said in a room, without being a member. */
  async listen(topic: string): Promise<void> {
    this.#node.services.gossip.subscribe(gossipTopic(await topicHash(topic)));
  }

  /**
   * Joins a room: asks one member for the others, and listens. Answers the members' envelopes. Who
   * names no address is dialled by nobody.
   */
  async join(topic: string, name: string, member: string, addresses?: string[]): Promise<string[]> {
    const hash = await topicHash(topic);
    await this.listen(topic);
    const presence = await signedPresence(
      this.#key,
      this.#node.peerId.toString(),
      hash,
      name,
      addresses ?? [await this.#ownAddress()],
    );
    const list = await this.#ask(member, PRESENCE_PROTOCOL, {
      v: 1,
      type: 'sync',
      topic: hash,
      presence,
    });
    return (list['members'] as { presence: string }[]).map((entry) => entry.presence);
  }

  /** Whether there is a stream on which it gossips to a peer, and the peer wants what is said in a room. */
  async gossipsTo(peer: string, topic: string): Promise<boolean> {
    const { gossip } = this.#node.services;
    const room = gossipTopic(await topicHash(topic));
    return (
      'streamsOutbound' in gossip &&
      (gossip.streamsOutbound as Map<string, unknown>).has(peer) &&
      gossip.getSubscribers(room).some((subscriber) => subscriber.toString() === peer)
    );
  }

  /** Says something in a room; answers how many it went to. */
  async say(topic: string, message: string): Promise<number> {
    this.#said += 1;
    return await this.#publish(topic, {
      v: 1,
      type: 'text',
      id: messageId(),
      session: this.#session,
      sequence: this.#said,
      name: 'Jay',
      text: message,
      sent: Date.now(),
    });
  }

  /** Says something in a room that members of today do not know; answers how many it went to. */
  async react(topic: string, reaction: string): Promise<number> {
    return await this.#publish(topic, { v: 1, type: 'reaction', with: reaction });
  }

  async #publish(topic: string, body: object): Promise<number> {
    const room = gossipTopic(await topicHash(topic));
    const data = new TextEncoder().encode(JSON.stringify(body));
    return (await this.#node.services.gossip.publish(room, data)).recipients.length;
  }

  /** Sends a direct message; answers what the other answered. */
  async send(peer: string, message: string): Promise<string> {
    const body = { v: 1, type: 'text', id: messageId(), text: message, sent: Date.now() };
    const answer = await this.#ask(peer, MESSAGE_PROTOCOL, body);
    return String(answer['id'] === body.id ? answer['type'] : JSON.stringify(answer));
  }

  /** One request on a stream of its own: said, half-closed, answered. */
  async #ask(peer: string, protocol: string, body: object): Promise<Record<string, unknown>> {
    return await this.#askOn(await this.#open(peer, protocol), body);
  }

  async #open(peer: string, protocol: string, within?: number): Promise<Stream> {
    const signal = within === undefined ? {} : { signal: AbortSignal.timeout(within) };
    return await this.#connection(peer).newStream(protocol, { ...RELAYED_TOO, ...signal });
  }

  async #askOn(stream: Stream, body: object): Promise<Record<string, unknown>> {
    send(stream, body);
    const [answer] = await Promise.all([read(stream), stream.close()]);
    return answer;
  }

  async #answer(
    stream: Stream,
    answer: (request: Record<string, unknown>) => object,
  ): Promise<void> {
    send(stream, answer(await read(stream)));
    await stream.close();
  }

  #onMessage(request: Record<string, unknown>, connection: Connection): object {
    if (request['type'] !== 'text') {
      return { v: 1, type: 'error', code: 'not_a_member', reason: 'keeps nothing' };
    }
    const from = connection.remotePeer.toString();
    this.heard.push({ from, text: String(request['text']) });
    return { v: 1, type: 'accepted', id: request['id'] };
  }
}

/** A whole body; the other side sees its end when the stream is closed. */
function send(stream: Stream, body: object): void {
  stream.send(new TextEncoder().encode(JSON.stringify(body)));
}

async function read(stream: Stream): Promise<Record<string, unknown>> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of stream) {
    text += decoder.decode(chunk.subarray(), { stream: true });
  }
  return JSON.parse(text);
}

declare global {
  var jsPeer: JsPeer;
}

globalThis.jsPeer = new JsPeer();
