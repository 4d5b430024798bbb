import type { Page } from '@playwright/test';

declare global {
  var dataChannels: Set<RTCDataChannel>;
  var channelsOpened: number;
}

/** Keeps count of a page's data channels. Before it is loaded. */
export async function countChannels(page: Page): Promise<void> {
  await page.addInitScript(() => {
    globalThis.dataChannels = new Set();
    globalThis.channelsOpened = 0;
    const watch = (channel: RTCDataChannel): RTCDataChannel => {
      dataChannels.add(channel);
      globalThis.channelsOpened += 1;
      channel.addEventListener('close', () => dataChannels.delete(channel));
      return channel;
    };
    const { createDataChannel } = RTCPeerConnection.prototype;
    RTCPeerConnection.prototype.createDataChannel = function (...how) {
      return watch(createDataChannel.apply(this, how));
    };
    globalThis.RTCPeerConnection = class extends RTCPeerConnection {
      constructor(configuration?: RTCConfiguration) {
        super(configuration);
        this.addEventListener('datachannel', ({ channel }) => watch(channel));
      }
    };
  });
}

/** How many are open. */
export function openChannels(page: Page): Promise<number> {
  return page.evaluate(() => dataChannels.size);
}

/** How many are being closed: one side has done so, the other not yet. */
export function closingChannels(page: Page): Promise<number> {
  return page.evaluate(
    () => [...dataChannels].filter(({ readyState }) => readyState === 'closing').length,
  );
}

/** How many there have been. */
export function channelsSoFar(page: Page): Promise<number> {
  return page.evaluate(() => channelsOpened);
}
