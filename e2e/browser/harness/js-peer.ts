import { join } from 'node:path';
import { build } from 'esbuild';
import { expect, type Page } from '@playwright/test';
import type { Heard } from '../js/peer.ts';
import { countChannels } from './channels.ts';
import { PATIENCE } from './times.ts';

let bundle: Promise<string> | undefined;

/** The member in JavaScript, as one script. */
async function script(): Promise<string> {
  const result = await build({
    entryPoints: [join(import.meta.dirname, '../js/peer.ts')],
    bundle: true,
    format: 'iife',
    platform: 'browser',
    target: 'es2022',
    write: false,
  });
  return result.outputFiles[0]!.text;
}

/** A page with a member written with js-libp2p. */
export class JsPeer {
  readonly page: Page;
  readonly peerId: string;

  private constructor(page: Page, peerId: string) {
    this.page = page;
    this.peerId = peerId;
  }

  /** Starts one in a page of any origin on this machine. */
  static async start(page: Page, origin: string, relay: string): Promise<JsPeer> {
    bundle ??= script();
    await countChannels(page);
    await page.goto(`${origin}/bootstrap.json`);
    await page.addScriptTag({ content: await bundle });
    return new JsPeer(page, await page.evaluate((relay) => jsPeer.start(relay), relay));
  }

  dial(address: string): Promise<string> {
    return this.page.evaluate((address) => jsPeer.dial(address), address);
  }

  connections(peer: string): Promise<string[]> {
    return this.page.evaluate((peer) => jsPeer.connections(peer), peer);
  }

  agent(peer: string): Promise<string> {
    return this.page.evaluate((peer) => jsPeer.agent(peer), peer);
  }

  ping(peer: string): Promise<void> {
    return this.page.evaluate((peer) => jsPeer.ping(peer), peer);
  }

  askForMembers(topic: string, member: string, times: number): Promise<void> {
    return this.page.evaluate(
      ({ topic, member, times }) => jsPeer.askForMembers(topic, member, times),
      { topic, member, times },
    );
  }

  join(topic: string, name: string, member: string): Promise<string[]> {
    return this.page.evaluate(
      ({ topic, name, member }) => jsPeer.join(topic, name, member),
      { topic, name, member },
    );
  }

  gossipsTo(peer: string, topic: string): Promise<boolean> {
    return this.page.evaluate(
      ({ peer, topic }) => jsPeer.gossipsTo(peer, topic),
      { peer, topic },
    );
  }

  say(topic: string, text: string): Promise<number> {
    return this.page.evaluate(({ topic, text }) => jsPeer.say(topic, text), { topic, text });
  }

  send(peer: string, text: string): Promise<string> {
    return this.page.evaluate(({ peer, text }) => jsPeer.send(peer, text), { peer, text });
  }

  /** Waits until it was told this. */
  async hears(what: Heard): Promise<void> {
    await expect
      .poll(() => this.page.evaluate(() => jsPeer.heard), { timeout: PATIENCE })
      .toContainEqual(what);
  }
}
