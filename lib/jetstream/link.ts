import { createInbox, jetstreamManager, NatsTimeoutError, type JetStreamManager, type NatsConnection } from './peers';

/** Before a server is asked again that was away, or has lost what was looked for. */
export const AGAIN_AFTER_MS = 500;

export type LinkState = 'up' | 'down' | 'closed';

/** Hears of a connection what a queue must know. */
export interface LinkListener {
  /** The server is back: what was under way is lost. */
  reconnected(): void;
  /** The connection is gone and does not come back. */
  closed(cause: Error | undefined): void;
}

/** How long one request to the server's own API may take. */
const API_TIMEOUT_MS = 5000;
const SHORTEST_MAX_PAYLOAD_BYTES = 1024 * 1024;

/** A connection that belongs to the caller, watched while we use it. */
export class Link {
  readonly connection: NatsConnection;
  readonly #listeners = new Set<LinkListener>();
  readonly #statuses: AsyncIterable<{ readonly type: string }>;
  #admin: Promise<JetStreamManager> | undefined;
  #state: LinkState;
  #cause: Error | undefined;
  #wasBack = false;
  #maxPayloadBytes = SHORTEST_MAX_PAYLOAD_BYTES;

  constructor(connection: NatsConnection) {
    this.connection = connection;
    this.#state = connection.isClosed() ? 'closed' : 'up';
    this.#statuses = connection.status();
    void this.#watch();
    // It may be without a server at the moment, which it tells nobody that comes later.
    if (this.#state === 'up') connection.rtt().catch(() => this.#wentDown());
    void connection.closed().then((cause) => this.#closed(cause instanceof Error ? cause : undefined));
  }

  get state(): LinkState {
    return this.#state;
  }

  /** Why it is closed. */
  get cause(): Error | undefined {
    return this.#cause;
  }

  /** The most that one message may have, headers included. The server says it, and may say another after a restart. */
  get maxPayloadBytes(): number {
    this.#maxPayloadBytes = this.connection.info?.max_payload ?? this.#maxPayloadBytes;
    return this.#maxPayloadBytes;
  }

  /** Whether the server has refused what was asked of it: elsewhere it was away, and is waited for. */
  isRefusal(error: unknown): boolean {
    return this.#state === 'up' && !(error instanceof NatsTimeoutError);
  }

  /** The server's API of streams and consumers. */
  admin(): Promise<JetStreamManager> {
    return (this.#admin ??= jetstreamManager(this.connection, { timeout: API_TIMEOUT_MS, checkAPI: false }));
  }

  /** Below the prefix of the connection: its user may be allowed no other. */
  newInbox(): string {
    // Every connection of the client has its options; the client's own packages find the prefix there.
    const { options } = this.connection as { readonly options?: { readonly inboxPrefix?: string } };
    return createInbox(options?.inboxPrefix);
  }

  /** Sends, unless the server is away: what is sent then would only wait in memory. */
  send(subject: string, data: Uint8Array | string, options?: Parameters<NatsConnection['publish']>[2]): boolean {
    if (this.#state !== 'up') return false;
    try {
      this.connection.publish(subject, data, options);
      return true;
    } catch {
      // It is being closed or drained.
      return false;
    }
  }

  add(listener: LinkListener): void {
    this.#listeners.add(listener);
  }

  delete(listener: LinkListener): void {
    this.#listeners.delete(listener);
  }

  /** Stops watching. The connection stays as it is. */
  release(): void {
    this.#listeners.clear();
    const { stop } = this.#statuses as { stop?: () => void };
    stop?.call(this.#statuses);
  }

  async #watch(): Promise<void> {
    for await (const { type } of this.#statuses) {
      if (this.#state === 'closed') return;
      if (type === 'disconnect') this.#state = 'down';
      if (type !== 'reconnect') continue;
      this.#wasBack = true;
      this.#state = 'up';
      for (const listener of [...this.#listeners]) listener.reconnected();
    }
  }

  #wentDown(): void {
    if (this.#state === 'up' && !this.#wasBack) this.#state = 'down';
  }

  #closed(cause: Error | undefined): void {
    this.#state = 'closed';
    this.#cause = cause;
    for (const listener of [...this.#listeners]) listener.closed(cause);
  }
}
