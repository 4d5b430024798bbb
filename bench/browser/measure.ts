// Everything in one run, in rounds in which all take turns: only then can they be compared. See
// ../README.md.
import { writeFile } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { test, type LaunchOptions, type Page } from '@playwright/test';
import type { Site } from '../../e2e/browser/harness/site.ts';
import { given, givenCount } from './given.ts';
import { perConnection } from './memory.ts';
import { open, Remote, serve } from './pages.ts';
import type { Kind } from './page/peer.ts';
import { Attempts, Samples } from './samples.ts';
import { Server } from './server.ts';
import { table, type Row } from './table.ts';

const MIB = 1024 * 1024;

/** How much is done in one round; the round before the first warms up, and does not count. */
const ROUND = { roundTrips: 300, requests: 150, dials: 10, transfers: 2, transferBytes: 16 * MIB };
const WARM_UP = { roundTrips: 50, requests: 20, dials: 2, transfers: 1, transferBytes: 4 * MIB };
type Amount = typeof ROUND;

/** What is transferred first on a new connection, uncounted: its windows have to grow. */
const FIRST_TRANSFER_BYTES = 4 * MIB;

/** Rounds in which memory is measured: each opens browsers. */
const MEMORY_ROUNDS_MAX = 3;

const WEBRTC: Kind[] = ['ours', 'js', 'raw'];
const WEBSOCKET: Kind[] = ['ours', 'js', 'plain'];

/** All that is measured. */
class Results {
  readonly attempts = new Attempts();
  readonly upgrade = new Samples();
  readonly memory = new Samples();
  readonly webrtc = new StreamResults();
  readonly dial = new Samples();
  readonly websocket = new StreamResults();
  /** What went wrong on connections that were there. */
  readonly broken: string[] = [];
}

class StreamResults {
  readonly roundTrip = new Samples();
  readonly request = new Samples();
  readonly up = new Samples();
  readonly down = new Samples();
}

/** The two ends of an implementation. */
interface Pair {
  one: Remote;
  other: Remote;
}

test('everything in one run', async ({ browser, launchOptions }) => {
  const rounds = givenCount('MOIM_BENCH_ROUNDS');
  const upgrades = givenCount('MOIM_BENCH_UPGRADES');
  const load = [loadavg()[0]!];
  const server = await Server.start();
  const site = await serve();
  try {
    const one = await open(await browser.newContext(), site);
    const other = await open(await browser.newContext(), site);
    const pairs = new Map<Kind, Pair>();
    for (const kind of WEBRTC) {
      pairs.set(kind, await start(kind, one, other, server));
    }
    pairs.set('plain', await start('plain', one, one, server));

    const results = new Results();
    for (let round = 0; round <= rounds; round += 1) {
      const counts = round > 0;
      console.log(counts ? `round ${round} of ${rounds}` : 'warming up');
      const into = counts ? results : new Results();
      const amount = counts ? ROUND : WARM_UP;
      // The first rounds have one more where it does not divide.
      const share = counts ? Math.ceil((upgrades - (round - 1)) / rounds) : 2;
      for (const kind of turned(WEBRTC, round)) {
        await betweenPages(kind, pairs.get(kind)!, server, share, amount, into);
      }
      for (const kind of turned(WEBSOCKET, round)) {
        await toServer(kind, pairs.get(kind)!.one, server, amount, into);
      }
    }
    load.push(loadavg()[0]!);
    await memory(rounds, launchOptions, other, site, server, results.memory);
    const text = report(results, rounds, browser.version(), load);
    await writeFile(given('MOIM_BENCH_OUTPUT'), text);
    console.log(`\n${text}`);
  } finally {
    await server.end();
    await site.end();
  }
});

/** Everybody comes first in turn. */
const turned = (kinds: Kind[], round: number): Kind[] =>
  kinds.map((_, place) => kinds[(place + round) % kinds.length]!);

async function start(kind: Kind, one: Page, other: Page, server: Server): Promise<Pair> {
  const bare = kind === 'raw' || kind === 'plain';
  return {
    one: await Remote.start(one, kind, bare ? server.plain : undefined),
    other: await Remote.start(other, kind, bare ? server.plain : server.address, 1),
  };
}

/** One round between two pages. */
async function betweenPages(
  kind: Kind,
  { one, other }: Pair,
  server: Server,
  upgrades: number,
  amount: Amount,
  { attempts, upgrade, webrtc, broken }: Results,
): Promise<void> {
  const times: number[] = [];
  let connected = false;
  for (let number = 0; number < upgrades; number += 1) {
    await separate({ one, other });
    connected = false;
    try {
      const time = await one.call('upgrade', server.circuit(other.id));
      // Not a connection unless something goes there and back.
      await one.call('roundTrips', other.id, 1);
      times.push(time);
      attempts.succeeded(kind);
      connected = true;
    } catch (error) {
      attempts.failed(kind, String(error));
    }
  }
  upgrade.add(kind, times);
  if (connected) {
    try {
      await onConnection(kind, one, other.id, amount, webrtc);
    } catch (error) {
      // The other rounds are not lost for it, and the report says so.
      broken.push(`${kind}: ${error}`);
    }
  }
  await separate({ one, other });
}

async function separate({ one, other }: Pair): Promise<void> {
  await one.call('disconnect', other.id);
  await other.call('disconnect', one.id);
}

/** One round from a page to the server. */
async function toServer(
  kind: Kind,
  peer: Remote,
  server: Server,
  amount: Amount,
  { dial, websocket }: Results,
): Promise<void> {
  const [address, id] =
    kind === 'plain' ? [server.plain, server.plain] : [server.address, server.peerId];
  const times: number[] = [];
  for (let number = 0; number < amount.dials; number += 1) {
    await peer.call('disconnect', id);
    times.push(await peer.call('dial', address));
  }
  dial.add(kind, times);
  await onConnection(kind, peer, id, amount, websocket);
  const rates: number[] = [];
  for (let number = 0; number < amount.transfers; number += 1) {
    rates.push(rate(amount.transferBytes, await peer.call('down', id, amount.transferBytes)));
  }
  websocket.down.add(kind, rates);
  await peer.call('disconnect', id);
}

/** What is the same whatever the connection. */
async function onConnection(
  kind: Kind,
  peer: Remote,
  id: string,
  amount: Amount,
  { roundTrip, request, up }: StreamResults,
): Promise<void> {
  roundTrip.add(kind, await peer.call('roundTrips', id, amount.roundTrips));
  request.add(kind, await peer.call('requests', id, amount.requests));
  await peer.call('up', id, FIRST_TRANSFER_BYTES);
  const rates: number[] = [];
  for (let number = 0; number < amount.transfers; number += 1) {
    rates.push(rate(amount.transferBytes, await peer.call('up', id, amount.transferBytes)));
  }
  up.add(kind, rates);
}

/** MiB/s. */
const rate = (bytes: number, milliseconds: number): number => bytes / MIB / (milliseconds / 1000);

async function memory(
  rounds: number,
  launch: LaunchOptions,
  other: Page,
  site: Site,
  server: Server,
  into: Samples,
): Promise<void> {
  if (process.platform !== 'linux') {
    return;
  }
  console.log('memory');
  for (let round = 0; round < Math.min(rounds, MEMORY_ROUNDS_MAX); round += 1) {
    for (const kind of turned(WEBRTC, round)) {
      const context = await other.context().browser()!.newContext();
      try {
        const page = await open(context, site);
        into.add(kind, [await perConnection(kind, launch, page, site, server)]);
      } catch (error) {
        // The rest is not lost for it.
        console.error(`memory of ${kind}: ${error}`);
      }
      await context.close();
    }
  }
}

function report(results: Results, rounds: number, version: string, load: number[]): string {
  const { attempts, upgrade, memory, webrtc, dial, websocket } = results;
  const time = { unit: 'ms', better: 'less' } as const;
  const speed = { unit: 'MiB/s', better: 'more' } as const;
  const pages: Row[] = [
    { what: 'relayed to direct', ...time, samples: upgrade, limit: 'raw', aims: [js(0.5)] },
    {
      what: 'round trip of 64 bytes on an open stream',
      ...time,
      samples: webrtc.roundTrip,
      limit: 'raw',
      aims: [js(0.5), limit(1.3)],
    },
    {
      what: 'request and answer on a new stream',
      ...time,
      samples: webrtc.request,
      limit: 'raw',
      aims: [js(0.5), limit(1.3)],
    },
    { what: 'one stream, 16 MiB', ...speed, samples: webrtc.up, limit: 'raw', aims: [limit(0.9)] },
    {
      what: 'memory of a connection',
      unit: 'KiB',
      better: 'less',
      samples: memory,
      limit: 'raw',
      aims: [],
    },
  ];
  const toServer: Row[] = [
    { what: 'dial', ...time, samples: dial, limit: 'plain', aims: [js(1)] },
    {
      what: 'round trip of 64 bytes on an open stream',
      ...time,
      samples: websocket.roundTrip,
      limit: 'plain',
      aims: [],
    },
    {
      what: 'request and answer on a new stream',
      ...time,
      samples: websocket.request,
      limit: 'plain',
      aims: [js(0.5)],
    },
    { what: 'up, 16 MiB', ...speed, samples: websocket.up, limit: 'plain', aims: [js(1)] },
    { what: 'down, 16 MiB', ...speed, samples: websocket.down, limit: 'plain', aims: [js(1)] },
  ];
  const processors = cpus();
  const [before, after] = load.map((value) => value.toFixed(1));
  return `# Moim, measured

${new Date().toISOString()}, Chromium ${version} on ${processors.length} × ${processors[0]?.model};
load ${before} before, ${after} after; wasm ${given('MOIM_BENCH_BUILD')}. Medians of ${rounds} rounds (lowest–highest).

## Between two pages

${table(pages, 'bare RTCDataChannel', attempts)}

## From a page to a native server

${table(toServer, 'bare WebSocket')}
${list('Not connected directly', failures(attempts))}${list('Broken while it was measured', results.broken)}`;
}

const js = (factor: number): Row['aims'][number] => ({ of: 'js', factor });
const limit = (factor: number): Row['aims'][number] => ({ of: 'limit', factor });

const failures = (attempts: Attempts): string[] =>
  WEBRTC.flatMap((kind) => attempts.failures(kind).map((why) => `${kind}: ${why}`));

function list(title: string, what: string[]): string {
  const lines = what.map((one) => `- ${one.split('\n')[0]}`);
  return lines.length > 0 ? `\n${title}:\n\n${lines.join('\n')}\n` : '';
}
