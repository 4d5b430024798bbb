/**
 * What every implementation can be asked for. Times are in ms. What one cannot do it does not have.
 */
export interface Peer {
  /** Its peer id, if it has one. */
  readonly id: string;
  /** Opens a connection; the time until it can be used. */
  dial?(address: string): Promise<number>;
  /**
   * Connects through a relay, and then directly; the time between both. The relayed connection is
   * closed then.
   */
  upgrade?(circuit: string): Promise<number>;
  /** Closes all connections to a peer, and waits until they are. */
  disconnect(peer: string): Promise<void>;
  /** The times of so many messages there and back on one open stream. */
  roundTrips(peer: string, count: number): Promise<ArrayLike<number>>;
  /** The times of so many requests, each on a stream of its own. */
  requests(peer: string, count: number): Promise<ArrayLike<number>>;
  /** The time that so many bytes take to the other side, on one stream. */
  up(peer: string, bytes: number): Promise<number>;
  /** The time that so many bytes take from the other side, on one stream. */
  down?(peer: string, bytes: number): Promise<number>;
}

/** The implementations: Moim's, js-libp2p, a bare `RTCPeerConnection`, a bare `WebSocket`. */
export type Kind = 'ours' | 'js' | 'raw' | 'plain';

/** Bytes of a small message. */
export const MESSAGE_BYTES = 64;

/** Bytes that are handed over at once when there are many. */
export const CHUNK_BYTES = 64 * 1024;

/** Time between two requests, so that none is measured together with the end of the one before. */
const PAUSE = 5;

export const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, PAUSE));

/** A count as the protocols have it. */
export function countBytes(count: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(count));
  return bytes;
}

/** How many come, by the bytes of a count. */
export const countOf = (bytes: Uint8Array): number =>
  Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0));

/** The sizes of the chunks that so many bytes make. */
export function* chunks(bytes: number, largest: number): Generator<number> {
  for (let rest = bytes; rest > 0; rest -= largest) {
    yield Math.min(rest, largest);
  }
}
