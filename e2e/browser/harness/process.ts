import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { createInterface } from 'node:readline';
import { now, PATIENCE } from './times.ts';

/** One line that a process printed. */
export interface Line {
  /** When it was read, in ms. */
  readonly at: number;
  readonly from: 'stdout' | 'stderr';
  readonly text: string;
}

/** A running program and what it printed. */
export class Program {
  readonly name: string;
  readonly started: number;
  readonly lines: Line[] = [];
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #ended: Promise<number | null>;
  readonly #watchers = new Set<() => void>();
  #running = true;

  constructor(name: string, program: string, args: readonly string[]) {
    this.name = name;
    this.started = now();
    this.#child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    for (const from of ['stdout', 'stderr'] as const) {
      createInterface({ input: this.#child[from] }).on('line', (text) => {
        this.lines.push({ at: now(), from, text });
        this.#notify();
      });
    }
    // Writing to a process that just ended is seen by what it does not answer.
    this.#child.stdin.on('error', () => {});
    this.#ended = new Promise((resolve, reject) => {
      this.#child.on('error', reject);
      this.#child.on('close', (code) => {
        this.#running = false;
        this.#notify();
        resolve(code);
      });
    });
    this.#ended.catch(() => {});
  }

  get running(): boolean {
    return this.#running;
  }

  /**
   * Waits until `pick` takes one of the lines from number `since` on; answers with what it made
   * of it.
   */
  async pick<T>(
    what: string,
    pick: (line: Line, number: number) => T | undefined,
    { within = PATIENCE, since = 0 } = {},
  ): Promise<T> {
    const deadline = now() + within;
    let next = since;
    for (;;) {
      for (; next < this.lines.length; next += 1) {
        const picked = pick(this.lines[next]!, next);
        if (picked !== undefined) {
          return picked;
        }
      }
      if (now() >= deadline || !this.#running) {
        const why = this.#running ? `within ${within} ms` : 'before it ended';
        throw new Error(`${this.name} did not print ${why}: ${what}\n${this.log(40)}`);
      }
      await this.#change(deadline - now());
    }
  }

  write(text: string): void {
    this.#child.stdin.write(text);
  }

  /** Sends a signal; nothing happens to a program that has ended. */
  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Waits for the end and answers with the exit code. */
  async ended(within = PATIENCE): Promise<number | null> {
    const late = new Promise<never>((_, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`${this.name} has not ended within ${within} ms`)),
        within,
      );
      timer.unref();
    });
    return Promise.race([this.#ended, late]);
  }

  /** Ends it if it runs. */
  async kill(): Promise<void> {
    if (this.#running) {
      this.#child.kill('SIGKILL');
    }
    await this.ended().catch(() => {});
  }

  /** The last lines with times since the start, for people. */
  log(lines = Infinity): string {
    const shown = this.lines.slice(-Math.min(lines, this.lines.length));
    return shown
      .map((line) => {
        const at = ((line.at - this.started) / 1000).toFixed(3).padStart(9);
        return `${at}${line.from === 'stderr' ? '!' : ' '} ${line.text}`;
      })
      .join('\n');
  }

  #notify(): void {
    for (const watcher of [...this.#watchers]) {
      watcher();
    }
  }

  #change(within: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#watchers.delete(done);
        resolve();
      };
      const timer = setTimeout(done, Math.max(within, 0));
      this.#watchers.add(done);
    });
  }
}
