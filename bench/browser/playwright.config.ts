import { defineConfig } from '@playwright/test';
import { CHROMIUM, CHROMIUM_ARGS } from '../../e2e/browser/harness/chromium.ts';

export default defineConfig({
  testMatch: 'measure.ts',
  outputDir: process.env['MOIM_BENCH_WORK'] ?? '../../target/xtask/bench/failures',
  forbidOnly: true,
  retries: 0,
  workers: 1,
  // As long as it takes: what is measured has time-outs of its own.
  timeout: 0,
  reporter: [['./reporter.ts']],
  use: {
    browserName: 'chromium',
    trace: 'off',
    launchOptions: {
      executablePath: CHROMIUM,
      args: [...CHROMIUM_ARGS],
    },
  },
});
