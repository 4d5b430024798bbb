import { defineConfig } from '@playwright/test';
import { CHROMIUM, CHROMIUM_ARGS } from './harness/chromium.ts';

export default defineConfig({
  testDir: 'tests',
  outputDir: 'artefacts/failures',
  forbidOnly: true,
  // No retries: a test that passes at the second attempt has found something.
  retries: 0,
  // Every test has a network and a browser context of its own, so they can share the machine. More
  // than two at once on two cores, and the deadlines measure the machine instead of the page.
  fullyParallel: true,
  workers: Number(process.env['MOIM_WORKERS'] ?? 2),
  timeout: 120_000,
  expect: { timeout: 30_000 },
  reporter: [['list'], ['./harness/closing-line.ts']],
  use: {
    browserName: 'chromium',
    trace: 'off',
    launchOptions: {
      executablePath: CHROMIUM,
      args: [...CHROMIUM_ARGS],
    },
  },
});
