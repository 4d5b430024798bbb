/** Debian's Chromium, or the one that is named. */
export const CHROMIUM = process.env['MOIM_CHROMIUM'] ?? '/usr/bin/chromium';

export const CHROMIUM_ARGS = [
  // CI runs as root in a container, where Chromium's sandbox cannot be set up.
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  // Nothing but the page may use the network: this must work without internet.
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-quic',
  '--disable-sync',
] as const;
