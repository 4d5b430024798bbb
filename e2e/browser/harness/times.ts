import { performance } from 'node:perf_hooks';

/** How long to wait for something whose time is not what a test is about, in ms. */
export const PATIENCE = 60_000;

/** Time in which members must see each other, from the last one's joining. */
export const SEEN_WITHIN = 5_000;

/** Time in which a member that left or whose tab was closed must be gone. */
export const LEFT_WITHIN = 2_000;

/** Time in which a member that was killed must be gone for those that were connected to it. */
export const LOST_WITHIN = 20_000;

/** Time in which everybody is back in the DHT after the bootstrap node's return. */
export const BACK_WITHIN = 15_000;

/** How long a direct message is tried (OUTBOX_DEADLINE in docs/protocol.md). */
export const OUTBOX_DEADLINE = 60_000;

/** After this a program closes a data channel that the page has closed, whoever opened it (docs/protocol.md). */
export const CHANNEL_CLOSED_WITHIN = 60_000;

/** Milliseconds on a clock that only goes forward. */
export const now = (): number => performance.now();

let topics = 0;

/** A topic that no other test uses. */
export const newTopic = (about: string): string => `${about}-${process.pid}-${(topics += 1)}`;

/** The way that a connection to a member takes. */
export type Way = 'direct' | 'turn' | 'relayed';

/** Either kind of peer, as far as this concerns it. */
interface Reaching {
  readonly peerId: string;
  reaches(peer: string, way: Way): Promise<void>;
}

/** Two peers that see each other reach each other by this way; how long that takes from now on, in ms. */
export async function reachEachOther(one: Reaching, two: Reaching, way: Way): Promise<number> {
  const seen = now();
  await one.reaches(two.peerId, way);
  await two.reaches(one.peerId, way);
  const took = now() - seen;
  console.log(`    ${way} ${Math.round(took)} ms after both were seen`);
  return took;
}

/** Two peers that see each other are connected directly; how long that takes from now on, in ms. */
export const becomeDirect = (one: Reaching, two: Reaching): Promise<number> =>
  reachEachOther(one, two, 'direct');
