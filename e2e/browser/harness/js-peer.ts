import { join } from 'node:path';
import { expect, type Page } from '@playwright/test';
import type { Heard } from '../js/peer.ts';
import { bundle } from './bundle.ts';
import { countChannels } from './channels.ts';
import { PATIENCE } from './times.ts';

/** The member in JavaScript, as one script. */
let script: Promise<string> | undefined;

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
    script ??= bundle(join(import.meta.dirname, '../js/peer.ts'));
    await countChannels(page);
    await page.goto(`${origin}/bootstrap.json`);
    await page.addScriptTag({ content: await script });
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

  askForMembers(topic: string, member: string, times: number): Promise<number> {
    return this.page.evaluate(
      ({ topic, member, times }) => jsPeer.askForMembers(topic, member, times),
      { topic, member, times },
    );
  }

  listen(topic: string): Promise<void> {
    return this.page.evaluate((topic) => jsPeer.listen(topic), topic);
  }

  join(topic: string, name: string, member: string, addresses?: string[]): Promise<string[]> {
    return this.page.evaluate(
      ({ topic, name, member, addresses }) => jsPeer.join(topic, name, member, addresses),
      { topic, name, member, addresses },
    );
  }

  react(topic: string, reaction: string): Promise<number> {
    return this.page.evaluate(({ topic, reaction }) => jsPeer.react(topic, reaction), { topic, reaction });
  }

  later(): Promise<string[]> {
    return this.page.evaluate(() => jsPeer.later);
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
