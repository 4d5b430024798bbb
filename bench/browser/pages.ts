import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BrowserContext, Page } from '@playwright/test';
import { bundle } from '../../e2e/browser/harness/bundle.ts';
import { Site } from '../../e2e/browser/harness/site.ts';
import { given } from './given.ts';
import type { Kind, Peer } from './page/peer.ts';

/** Only such pages get a clock of microseconds. */
const ISOLATED = {
  'cross-origin-embedder-policy': 'require-corp',
  'cross-origin-opener-policy': 'same-origin',
};

/** Puts the page beside what wasm-bindgen has made there, and serves both. */
export async function serve(): Promise<Site> {
  const folder = given('MOIM_BENCH_PAGE');
  const page = join(import.meta.dirname, 'page');
  await writeFile(join(folder, 'page.js'), await bundle(join(page, 'main.ts')));
  await copyFile(join(page, 'index.html'), join(folder, 'index.html'));
  return await Site.start(() => undefined, { folder, headers: ISOLATED });
}

/** Opens the page in a context, and so in a process, of its own. */
export async function open(context: BrowserContext, site: Site): Promise<Page> {
  const page = await context.newPage();
  page.on('pageerror', (error) => console.error(`uncaught in the page: ${error.message}`));
  await page.goto(site.url);
  if (!(await page.evaluate(() => crossOriginIsolated))) {
    throw new Error('the page is not isolated: its clock is too coarse');
  }
  return page;
}

type Method = {
  [Name in keyof Peer]-?: NonNullable<Peer[Name]> extends (...args: never[]) => unknown
    ? Name
    : never;
}[keyof Peer];
type Args<Name extends Method> = Parameters<NonNullable<Peer[Name]>>;
type Result<Name extends Method> =
  Awaited<ReturnType<NonNullable<Peer[Name]>>> extends ArrayLike<number>
    ? number[]
    : Awaited<ReturnType<NonNullable<Peer[Name]>>>;

/** One peer in a page. */
export class Remote {
  readonly id: string;
  readonly #page: Page;
  readonly #name: string;

  private constructor(page: Page, name: string, id: string) {
    this.#page = page;
    this.#name = name;
    this.id = id;
  }

  /** Starts one; `number` tells those of one kind in one page apart. */
  static async start(page: Page, kind: Kind, where?: string, number = 0): Promise<Remote> {
    const name = `${kind} ${number}`;
    const id = await page.evaluate(
      ({ kind, name, where }) => bench.start(kind, name, where),
      { kind, name, where },
    );
    return new Remote(page, name, id);
  }

  async call<Name extends Method>(method: Name, ...args: Args<Name>): Promise<Result<Name>> {
    const result = await this.#page.evaluate(
      ({ name, method, args }) => bench.call(name, method, args),
      { name: this.#name, method, args: args as unknown[] },
    );
    return result as Result<Name>;
  }
}
