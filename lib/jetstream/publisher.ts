import type { Link, LinkListener } from './link';
import type { Msg, MsgHdrs, Subscription } from './peers';

/** What the server says when it has stored a message. */
export interface Stored {
  readonly seq: number;
  /** It had one with this id already, and dropped this one. */
  readonly isDuplicate: boolean;
}

interface Waiting {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly headers: MsgHdrs;
  readonly resolve: (stored: Stored) => void;
  readonly reject: (error: Error) => void;
  /** When it is sent again. */
  dueAt: number;
}

interface Answer {
  readonly seq?: number;
  readonly duplicate?: boolean;
  readonly error?: { readonly code: number; readonly err_code?: number; readonly description?: string };
}

const LOOK_EVERY_MS = 500;
/** An answer that has not come by then is lost. */
const ANSWER_WITHIN_MS = 5000;
/** A server that is full, or has no leader, is asked again after this. */
const AGAIN_AFTER_MS = 1000;
const NO_RESPONDERS = 503;
/** The stream takes no message that large. */
const TOO_LARGE_FOR_STREAM = 10054;

/**
 * Messages to a stream, each sent until the server has confirmed that it is stored: over the server's restarts, and the
 * loss of the stream. The id in its headers makes doubles one.
 *
 * One subscription for all confirmations: a request of the client's own costs 60 to 100 us of CPU each.
 */
export class Publisher implements LinkListener {
  readonly #link: Link;
  readonly #recover: () => Promise<unknown>;
  readonly #prefix: string;
  readonly #subscription: Subscription;
  readonly #waiting = new Map<number, Waiting>();
  readonly #timer: NodeJS.Timeout;
  #count = 0;
  #isRecovering = false;

  /** @param recover makes the streams that are missing */
  constructor(link: Link, recover: () => Promise<unknown>) {
    this.#link = link;
    this.#recover = recover;
    this.#prefix = `${link.newInbox()}.`;
    this.#subscription = link.connection.subscribe(`${this.#prefix}*`, {
      callback: (error, message) => {
        if (error === null) this.#answered(message);
      },
    });
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS).unref();
    link.add(this);
  }

  /** Messages that the server has not confirmed. */
  get pending(): number {
    return this.#waiting.size;
  }

  /** Resolves when the message is stored. Rejects when that will never be. */
  publish(subject: string, data: Uint8Array, headers: MsgHdrs): Promise<Stored> {
    return new Promise((resolve, reject) => {
      const waiting = { subject, data, headers, resolve, reject, dueAt: 0 };
      const id = this.#count++;
      this.#waiting.set(id, waiting);
      this.#send(id, waiting);
    });
  }

  close(error: Error): void {
    clearInterval(this.#timer);
    this.#link.delete(this);
    if (this.#link.state !== 'closed') this.#subscription.unsubscribe();
    this.#rejectAll(error);
  }

  reconnected(): void {
    for (const [id, waiting] of this.#waiting) this.#send(id, waiting);
  }

  closed(cause: Error | undefined): void {
    this.#rejectAll(cause ?? new Error('the connection was closed'));
  }

  #send(id: number, waiting: Waiting): void {
    waiting.dueAt = performance.now() + ANSWER_WITHIN_MS;
    const { subject, data, headers } = waiting;
    this.#link.send(subject, data, { headers, reply: `${this.#prefix}${id}` });
  }

  #answered(message: Msg): void {
    const id = Number(message.subject.slice(this.#prefix.length));
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    if (message.headers?.code === NO_RESPONDERS) {
      waiting.dueAt = performance.now() + AGAIN_AFTER_MS;
      void this.#recoverOnce();
      return;
    }
    const { seq, duplicate = false, error } = answerOf(message);
    if (seq !== undefined) {
      this.#waiting.delete(id);
      waiting.resolve({ seq, isDuplicate: duplicate });
    } else if (error?.err_code === TOO_LARGE_FOR_STREAM) {
      this.#waiting.delete(id);
      waiting.reject(new Error(`the server refused a message: ${error.description ?? 'too large'}`));
    } else {
      waiting.dueAt = performance.now() + AGAIN_AFTER_MS;
    }
  }

  #look(): void {
    if (this.#link.state !== 'up') return;
    const now = performance.now();
    for (const [id, waiting] of this.#waiting) {
      if (waiting.dueAt <= now) this.#send(id, waiting);
    }
  }

  async #recoverOnce(): Promise<void> {
    if (this.#isRecovering) return;
    this.#isRecovering = true;
    try {
      await this.#recover();
      this.reconnected();
    } catch {
      // The next answer, or the next look, tries again.
    } finally {
      this.#isRecovering = false;
    }
  }

  #rejectAll(error: Error): void {
    const all = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of all) reject(error);
  }
}

function answerOf(message: Msg): Answer {
  try {
    return message.json<Answer>();
  } catch {
    return {};
  }
}
