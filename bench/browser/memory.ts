import { readFile } from 'node:fs/promises';
import { chromium, type Browser, type CDPSession, type LaunchOptions, type Page } from '@playwright/test';
import type { Site } from '../../e2e/browser/harness/site.ts';
import { open, Remote } from './pages.ts';
import type { Kind } from './page/peer.ts';
import type { Server } from './server.ts';

/** Connections that the growth is divided by: the more, the less the allocator's steps matter. */
const CONNECTIONS = 20;

/** Attempts at one connection: here it matters that it is there, not how it came to be. */
const ATTEMPTS = 3;

/** Collections of garbage before a reading: what is freed by one is found by the next. */
const COLLECTIONS = 3;

/**
 * How much a page's process grows with each open connection, in KiB. The page has a browser of its
 * own; the other ends are in `others`. Works on Linux only.
 */
export async function perConnection(
  kind: Kind,
  launch: LaunchOptions,
  others: Page,
  site: Site,
  server: Server,
): Promise<number> {
  const browser = await chromium.launch(launch);
  try {
    const page = await open(await browser.newContext(), site);
    const reading = await Reading.of(browser, page);
    const one = await Remote.start(page, kind, kind === 'raw' ? server.plain : undefined, 1000);
    const ends: Remote[] = [];
    for (let number = 0; number <= CONNECTIONS; number += 1) {
      // A bare connection can be made any number of times between the same two.
      if (kind !== 'raw' || number === 0) {
        const where = kind === 'raw' ? server.plain : server.address;
        ends.push(await Remote.start(others, kind, where, 1000 + number));
      }
    }
    const connect = async (number: number): Promise<void> => {
      const { id } = ends[number] ?? ends[0]!;
      await connected(one, id, server.circuit(id));
    };
    // The first one brings along what is there once.
    await connect(0);
    const before = await reading.bytes();
    for (let number = 1; number <= CONNECTIONS; number += 1) {
      await connect(number);
    }
    return ((await reading.bytes()) - before) / CONNECTIONS / 1024;
  } finally {
    await browser.close();
  }
}

async function connected(one: Remote, id: string, circuit: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await one.call('upgrade', circuit);
      return;
    } catch (error) {
      if (attempt === ATTEMPTS) {
        throw error;
      }
      await one.call('disconnect', id);
    }
  }
}

class Reading {
  readonly #page: CDPSession;
  readonly #browser: CDPSession;

  private constructor(page: CDPSession, browser: CDPSession) {
    this.#page = page;
    this.#browser = browser;
  }

  static async of(browser: Browser, page: Page): Promise<Reading> {
    return new Reading(
      await page.context().newCDPSession(page),
      await browser.newBrowserCDPSession(),
    );
  }

  /**
   * What the processes of all pages have for themselves, after garbage is collected. There is one page;
   * another process that stands by for the next does nothing.
   */
  async bytes(): Promise<number> {
    for (let time = 0; time < COLLECTIONS; time += 1) {
      await this.#page.send('HeapProfiler.collectGarbage');
    }
    const { processInfo } = await this.#browser.send('SystemInfo.getProcessInfo');
    const pages = processInfo.filter(({ type }) => type === 'renderer');
    const sizes = await Promise.all(pages.map(({ id }) => privateBytes(id)));
    return sizes.reduce((sum, size) => sum + size, 0);
  }
}

/** Memory that a process shares with nobody (proc_pid_smaps(5)). */
async function privateBytes(process: number): Promise<number> {
  const text = await readFile(`/proc/${process}/smaps_rollup`, 'utf8');
  return [...text.matchAll(/^Private_(?:Clean|Dirty):\s+(\d+) kB$/gm)]
    .map(([, kilobytes]) => Number(kilobytes) * 1024)
    .reduce((sum, size) => sum + size, 0);
}
