import type { FullResult, Reporter, TestCase } from '@playwright/test/reporter';

/** Ends the output with one plain line of counts, for programs that read it. */
export default class ClosingLine implements Reporter {
  readonly #tests = new Set<TestCase>();

  onTestEnd(test: TestCase): void {
    this.#tests.add(test);
  }

  onEnd(result: FullResult): void {
    const counts = { expected: 0, unexpected: 0, flaky: 0, skipped: 0 };
    for (const test of this.#tests) {
      counts[test.outcome()] += 1;
    }
    // A run that broke off has failed even if every test that ran did not.
    const broken = result.status !== 'passed' && counts.unexpected === 0 ? 1 : 0;
    const failed = counts.unexpected + counts.flaky + broken;
    const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : '';
    console.log(`\n${counts.expected} passed, ${failed} failed${skipped}`);
  }

  printsToStdio(): boolean {
    return false;
  }
}
