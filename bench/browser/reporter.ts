import type { Reporter, TestCase, TestError, TestResult } from '@playwright/test/reporter';

/** Passes on what is printed, and says what went wrong. */
export default class Plain implements Reporter {
  onStdOut(chunk: string | Buffer): void {
    process.stdout.write(chunk);
  }

  onStdErr(chunk: string | Buffer): void {
    process.stderr.write(chunk);
  }

  onError(error: TestError): void {
    console.error(error.stack ?? error.message);
  }

  onTestEnd(_: TestCase, { errors }: TestResult): void {
    for (const error of errors) {
      this.onError(error);
    }
  }
}
