import type { Kind } from './page/peer.ts';

/** The middle one, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  const middle = sorted.length / 2;
  const [low, high] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]];
  return low === undefined || high === undefined ? NaN : (low + high) / 2;
}

/** What was measured of one thing: for each implementation a median per round. */
export class Samples {
  readonly #rounds = new Map<Kind, number[]>();

  /** Adds a round, if anything came of it. */
  add(kind: Kind, values: readonly number[]): void {
    if (values.length > 0) {
      const rounds = this.#rounds.get(kind) ?? [];
      rounds.push(median(values));
      this.#rounds.set(kind, rounds);
    }
  }

  /** The median of all rounds; NaN where there are none. */
  median(kind: Kind): number {
    return median(this.#rounds.get(kind) ?? []);
  }

  /** The lowest and the highest round. */
  range(kind: Kind): [number, number] {
    const rounds = this.#rounds.get(kind) ?? [];
    return [Math.min(...rounds), Math.max(...rounds)];
  }
}

/** How many attempts came to a connection. */
export class Attempts {
  readonly #made = new Map<Kind, number>();
  readonly #failures = new Map<Kind, string[]>();

  succeeded(kind: Kind): void {
    this.#made.set(kind, this.made(kind) + 1);
  }

  failed(kind: Kind, why: string): void {
    this.#made.set(kind, this.made(kind) + 1);
    this.#failures.set(kind, [...this.failures(kind), why]);
  }

  made(kind: Kind): number {
    return this.#made.get(kind) ?? 0;
  }

  /** Why the others did not. */
  failures(kind: Kind): string[] {
    return this.#failures.get(kind) ?? [];
  }
}
