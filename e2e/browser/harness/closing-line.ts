import { relative } from 'node:path';
import type { FullResult, Reporter, TestCase } from '@playwright/test/reporter';

/** The first line of what a failed test said, without colours. */
function reason(test: TestCase): string {
  const message = test.results.at(-1)?.error?.message ?? 'it said nothing';
  return (message.replaceAll(/\u001b\[[0-9;]*m/g, '').split('\n')[0] ?? '').slice(0, 300);
}

/** Ends the output with a line for each failed test and a line of counts, for programs that read them. */
export default class ClosingLine implements Reporter {
  readonly #tests = new Set<TestCase>();

  onTestEnd(test: TestCase): void {
    this.#tests.add(test);
  }

  onEnd(result: FullResult): void {
    const counts = { expected: 0, unexpected: 0, flaky: 0, skipped: 0 };
    console.log('');
    for (const test of this.#tests) {
      const outcome = test.outcome();
      counts[outcome] += 1;
      if (outcome === 'unexpected' || outcome === 'flaky') {
        const { file, line } = test.location;
        console.log(`failed: ${relative('.', file)}:${line} ${test.title}: ${reason(test)}`);
      }
    }
    // A run that broke off has failed even if every test that ran did not.
    const broken = result.status !== 'passed' && counts.unexpected === 0 ? 1 : 0;
    const failed = counts.unexpected + counts.flaky + broken;
    const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : '';
    console.log(`${counts.expected} passed, ${failed} failed${skipped}`);
  }

  printsToStdio(): boolean {
    return false;
  }
}
