/** What one side of a queue has done, as a plain object: to be logged, or charted. */
import { Histogram, type Distribution } from '../port/statistics';
import { trace } from '../trace';

/** What one side of a queue has done since it was made. */
export interface QueueStatistics {
  /** Messages: of a worker those it was given, of a producer those the server has stored. */
  readonly messages: number;
  /** Rows in them. */
  readonly rows: number;
  /** Rows that have a reply. */
  readonly replies: number;
  /** Rows that have none and never will. */
  readonly deadLetters: number;
  /**
   * Of a worker: messages that went back to the queue, to be delivered again. Of a producer: messages that were
   * published again, as the server had lost them.
   */
  readonly returned: number;
  /** Messages that the server had already. */
  readonly duplicates: number;
  /** Rows that are here at the moment: at a worker, or between the source and the sink. */
  readonly pending: number;
  /** Milliseconds: at a worker from the message to the row's reply; at a producer from the call to the reply. */
  readonly rowMs: Distribution;
  /** Milliseconds of a message: at a worker from its coming to its acknowledgement; at a producer until it was stored. */
  readonly messageMs: Distribution;
}

const PUBLISH_EVERY_MS = 1000;

export class QueueTally {
  messages = 0;
  rows = 0;
  replies = 0;
  deadLetters = 0;
  returned = 0;
  duplicates = 0;
  pending = 0;
  readonly rowMs = new Histogram();
  readonly messageMs = new Histogram();
  readonly #who: { readonly queue: string; readonly side: 'worker' | 'producer' };
  #publishedAt = performance.now();

  constructor(queue: string, side: 'worker' | 'producer') {
    this.#who = { queue, side };
  }

  take(): QueueStatistics {
    const { messages, rows, replies, deadLetters, returned, duplicates, pending } = this;
    const [rowMs, messageMs] = [this.rowMs.distribution, this.messageMs.distribution];
    return { messages, rows, replies, deadLetters, returned, duplicates, pending, rowMs, messageMs };
  }

  /** Tells the diagnostics channel, at most once a second. */
  worked(): void {
    if (!trace.wantsQueue || performance.now() - this.#publishedAt < PUBLISH_EVERY_MS) return;
    this.publish();
  }

  publish(): void {
    this.#publishedAt = performance.now();
    if (trace.wantsQueue) trace.queue({ ...this.#who, statistics: this.take() });
  }
}
