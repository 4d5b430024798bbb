import type { Tab } from './tab.ts';

/** What the init script below leaves in the page. */
export interface Traced extends Window {
  connections: RTCPeerConnection[];
  refusals: number[];
  /** Instead of what the bootstrap node has given. */
  credential: string | undefined;
}

/** Has every connection of the page use relayed candidates only, and keeps them all. */
export function relayedOnly(credential: string | undefined): void {
  const page = window as unknown as Traced;
  Object.assign(page, { connections: [], refusals: [], credential });
  const Native = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Native {
    constructor(configuration?: RTCConfiguration) {
      const iceServers = (configuration?.iceServers ?? []).map((server) => ({
        ...server,
        ...(page.credential === undefined ? {} : { credential: page.credential }),
      }));
      super({ ...configuration, iceServers, iceTransportPolicy: 'relay' });
      page.connections.push(this);
      this.addEventListener('icecandidateerror', ({ errorCode }) => page.refusals.push(errorCode));
    }
  };
}

/** The kinds of the candidates, own and other, of the pairs in use. */
export async function pairs(tab: Tab): Promise<string[]> {
  return await tab.page.evaluate(async () => {
    const kinds: string[] = [];
    for (const connection of (window as unknown as Traced).connections) {
      const stats = new Map<string, Record<string, unknown>>(await connection.getStats());
      for (const entry of stats.values()) {
        const pair = stats.get(entry['selectedCandidatePairId'] as string);
        if (pair !== undefined && connection.connectionState === 'connected') {
          const ends = [pair['localCandidateId'], pair['remoteCandidateId']];
          kinds.push(ends.map((id) => stats.get(id as string)?.['candidateType']).join(' '));
        }
      }
    }
    return kinds;
  });
}
