import { defineConfig } from '@playwright/test';

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
      executablePath: process.env['MOIM_CHROMIUM'] ?? '/usr/bin/chromium',
      args: [
        // CI runs as root in a container, where Chromium's sandbox cannot be set up.
        '--no-sandbox',
        '--disable-gpu',
        '--no-first-run',
        // Nothing but the page may use the network: this must work without internet.
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-quic',
        '--disable-sync',
      ],
    },
  },
});
