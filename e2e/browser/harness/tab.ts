import { expect, type Locator, type Page } from '@playwright/test';
import { now, PATIENCE, type Way } from './times.ts';

/** A page with a peer in it, used as a person uses it. */
export class Tab {
  readonly page: Page;
  /** Uncaught errors of the page, in order. */
  readonly errors: string[] = [];
  /** What the page wrote to the console, in order. */
  readonly console: string[] = [];
  #peerId = '';

  constructor(page: Page) {
    this.page = page;
    page.on('pageerror', (error) => this.errors.push(`${error.name}: ${error.message}`));
    page.on('console', (message) => this.console.push(`${message.type()}: ${message.text()}`));
  }

  /** The peer's id, once `readPeerId` has read it. */
  get peerId(): string {
    return this.#peerId;
  }

  /** What it wrote there as errors. */
  get consoleErrors(): string[] {
    return this.console.filter((line) => line.startsWith('error:'));
  }

  get status(): Locator {
    return this.page.getByTestId('status');
  }

  get members(): Locator {
    return this.page.getByTestId('member');
  }

  member(peer: string): Locator {
    return this.page.locator(`[data-testid="member"][data-peer="${peer}"]`);
  }

  /** Messages in the room, all or those from one peer. */
  roomMessages(from?: string): Locator {
    const of = from === undefined ? '' : `[data-from="${from}"]`;
    return this.page.locator(`[data-testid="room-message"]${of}`);
  }

  directMessages(from?: string): Locator {
    const of = from === undefined ? '' : `[data-from="${from}"]`;
    return this.page.locator(`[data-testid="direct-message"]${of}`);
  }

  async readPeerId(): Promise<string> {
    const id = this.page.getByTestId('peer-id');
    await expect(id).toHaveText(/^12D3KooW\w+$/, { timeout: PATIENCE });
    this.#peerId = (await id.textContent())!.trim();
    return this.#peerId;
  }

  /** Waits until the peer is in the DHT; answers when, in ms. */
  async connected(within = PATIENCE): Promise<number> {
    await expect(this.status).toHaveAttribute('data-state', 'connected', { timeout: within });
    return now();
  }

  /** Loads the page anew and waits until its peer is in the DHT. */
  async reload(): Promise<void> {
    await this.page.reload();
    await this.connected();
    await this.readPeerId();
  }

  /** Joins a topic; answers when the button was pressed, in ms. */
  async join(topic: string, name: string): Promise<number> {
    await this.page.getByTestId('name-input').fill(name);
    await this.page.getByTestId('topic-input').fill(topic);
    const pressed = now();
    await this.page.getByTestId('join').click();
    await expect(this.page.getByTestId('room-input')).toBeVisible();
    return pressed;
  }

  /** Waits until `peer` is a member; answers when it was seen, in ms. */
  async sees(peer: string, within = PATIENCE): Promise<number> {
    await expect(this.member(peer)).toBeVisible({ timeout: within });
    return now();
  }

  /** Waits until `peer` is no member; answers when it was seen to be gone, in ms. */
  async loses(peer: string, within = PATIENCE): Promise<number> {
    await expect(this.member(peer)).toHaveCount(0, { timeout: within });
    return now();
  }

  async say(text: string): Promise<void> {
    await this.page.getByTestId('room-input').fill(text);
    await this.page.getByTestId('room-send').click();
  }

  /** Says so many lines as fast as the page takes them: "line 0", "line 1", … */
  async sayAtOnce(lines: number): Promise<void> {
    await this.page.getByTestId('room-input').evaluate((input: HTMLTextAreaElement, lines) => {
      for (let line = 0; line < lines; line += 1) {
        input.value = `line ${line}`;
        input.dispatchEvent(new Event('input', { bubbles: true }));
        input.form!.requestSubmit();
      }
    }, lines);
  }

  async hears(from: string, text: string): Promise<void> {
    await expect(this.roomMessages(from).filter({ hasText: text }).first()).toBeAttached({
      timeout: PATIENCE,
    });
  }

  /** Opens the direct conversation with a member. */
  async openDirect(peer: string): Promise<void> {
    await this.member(peer).getByTestId('direct-open').click();
    await expect(this.page.getByTestId('direct-input')).toBeVisible();
  }

  /** Sends in the open direct conversation. */
  async sendDirect(text: string): Promise<Locator> {
    await this.page.getByTestId('direct-input').fill(text);
    await this.page.getByTestId('direct-send').click();
    return this.directMessages(this.#peerId).filter({ hasText: text });
  }

  /** Waits until a member is reached by this way. */
  async reaches(peer: string, way: Way, within = PATIENCE): Promise<void> {
    await expect(this.member(peer)).toHaveAttribute('data-path', way, { timeout: within });
  }

  /** Waits until a member is connected directly. */
  async reachesDirectly(peer: string, within = PATIENCE): Promise<void> {
    await this.reaches(peer, 'direct', within);
  }

  /** Says something in the room and something to another page alone; both arrive. */
  async talkTo(other: Tab): Promise<void> {
    await this.say(`room, ${this.#peerId}`);
    await other.hears(this.#peerId, `room, ${this.#peerId}`);
    await this.openDirect(other.peerId);
    const sent = await this.sendDirect('only for you');
    await expect(sent).toHaveAttribute('data-state', 'delivered');
  }

  /** Brings the member list to the front, where it is not on the page already. */
  async openMembers(): Promise<void> {
    await this.#show(/^(People|사람)/);
    await expect(this.page.getByTestId('members')).toBeVisible();
  }

  /** Brings the room to the front, where it is not on the page already. */
  async openRoom(): Promise<void> {
    await this.#show(/^(Room|방)/);
    await expect(this.page.getByTestId('room-input')).toBeVisible();
  }

  /** Brings the connection panel with the settings to the front, if it is not there already. */
  async openConnection(): Promise<void> {
    const id = this.page.getByTestId('peer-id');
    if (!(await id.isVisible())) {
      // A narrow page has a button for it, a wide one shows it where no direct conversation is.
      const open = this.page.locator('#status-button').or(this.#view(/^(Connection|연결)/));
      const close = this.page.getByRole('button', { name: /^(Close|닫기)$/ });
      const [button] = await open.filter({ visible: true }).all();
      await (button ?? close.filter({ visible: true }).first()).click();
    }
    await expect(id).toBeVisible();
  }

  /** Gives other bootstrap nodes in the settings. */
  async setBootstrap(source: string): Promise<void> {
    await this.openConnection();
    await this.page.getByTestId('sources-input').fill(source);
    await this.page.getByTestId('sources-save').click();
  }

  #view(name: RegExp): Locator {
    return this.page.getByRole('navigation').getByRole('button', { name });
  }

  /** Presses a view's button on a narrow page; a wide page shows every view and has none. */
  async #show(view: RegExp): Promise<void> {
    const button = this.#view(view);
    if (await button.isVisible()) {
      await button.click();
    }
  }

  /** Leaves the room; answers when the button was pressed, in ms. */
  async leaveRoom(): Promise<number> {
    const pressed = now();
    await this.page.getByTestId('leave').click();
    return pressed;
  }

  /** Closes the tab as a person does: the page is told. Answers when, in ms. */
  async close(): Promise<number> {
    const closed = this.page.waitForEvent('close');
    const asked = now();
    await this.page.close({ runBeforeUnload: true });
    await closed;
    return asked;
  }
}
