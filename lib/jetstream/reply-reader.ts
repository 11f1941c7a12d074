import { setTimeout as delay } from 'node:timers/promises';
import { AGAIN_AFTER_MS, type Link } from './link';
import { nanos } from './peers';
import { Pull, type Delivery, type PullOwner } from './pull';
import type { QueueStreams } from './queue-streams';

export interface ReplyReaderOwner {
  received(delivery: Delivery): void;
  /** All that the server had when it was asked has been received. After the start, and after each loss. */
  caughtUp(): void;
  /** From where to read again, after a loss: replies up to this one are known. */
  knownUpTo(): number;
  /** Before the consumer is made: at the start, and after each loss. */
  prepare(): Promise<void>;
  failed(error: Error): void;
}

/** Of how many replies the server is asked for at a time, and how many of them may be left when it is asked for more. */
const ASK = 512;
const LOW = 256;
/** A consumer that nobody asks is dropped by the server after this. */
const FORGOTTEN_AFTER_MS = 30_000;

/** The replies to one job, in the order in which they were stored, each at least once. */
export class ReplyReader implements PullOwner {
  readonly #link: Link;
  readonly #streams: QueueStreams;
  readonly #subject: string;
  readonly #owner: ReplyReaderOwner;
  readonly #pull: Pull;
  #state: 'opening' | 'behind' | 'current' | 'closed' = 'opening';
  #isOpening = false;
  #isPaused = false;
  #consumer: string | undefined;
  #consumerSeq = 0;
  /** When the stream was made: another one counts from 1 again. */
  #created = '';
  /** The last that was received. */
  seq = 0;

  constructor(link: Link, streams: QueueStreams, subject: string, owner: ReplyReaderOwner) {
    this.#link = link;
    this.#streams = streams;
    this.#subject = subject;
    this.#owner = owner;
    this.#pull = new Pull(link, this);
  }

  /** Whether what is not here has not been answered. */
  get isCurrent(): boolean {
    return this.#state === 'current';
  }

  start(): void {
    void this.#open();
  }

  /** Leaves the replies at the server for a while. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#ask();
  }

  /** Resolves when the consumer is gone from the server, or cannot be asked to go. */
  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#pull.close();
    await this.#deleteConsumer();
  }

  delivered(delivery: Delivery): void {
    if (this.#state === 'closed') return;
    if (delivery.consumerSeq !== this.#consumerSeq + 1) {
      // One was lost on its way.
      this.lost();
      return;
    }
    this.#consumerSeq = delivery.consumerSeq;
    this.seq = delivery.streamSeq;
    this.#owner.received(delivery);
    if (delivery.pending === 0) this.idle();
    if (this.#pull.outstanding <= LOW) this.#ask();
  }

  lapsed(): void {
    this.#ask();
  }

  idle(): void {
    if (this.#state !== 'behind') return;
    this.#state = 'current';
    this.#owner.caughtUp();
  }

  lost(): void {
    if (this.#state === 'closed' || this.#isOpening) return;
    this.#state = 'opening';
    void this.#open();
  }

  #ask(): void {
    if (this.#isPaused || this.#state === 'opening' || this.#state === 'closed') return;
    this.#pull.ask(ASK - this.#pull.outstanding);
  }

  async #open(): Promise<void> {
    this.#isOpening = true;
    for (let isFirst = this.#created === ''; !this.#isClosed();) {
      try {
        if (this.#link.state === 'up') {
          await this.#openOnce();
          break;
        }
      } catch (error) {
        // What the server refuses at the start, it refuses for good; later it may only be on its way back.
        if (isFirst && this.#link.isRefusal(error)) {
          this.#isOpening = false;
          this.#owner.failed(error as Error);
          return;
        }
        isFirst = false;
      }
      await delay(AGAIN_AFTER_MS, undefined, { ref: false });
    }
    this.#isOpening = false;
    if (this.#isClosed()) await this.#deleteConsumer();
  }

  #isClosed(): boolean {
    return this.#state === 'closed';
  }

  async #openOnce(): Promise<void> {
    await this.#owner.prepare();
    const { streams, consumers } = await this.#link.admin();
    const { created, state } = await streams.info(this.#streams.replies);
    // A stream that lost its end counts on from there.
    const known = this.#created === created ? Math.min(this.#owner.knownUpTo(), state.last_seq) : 0;
    await this.#deleteConsumer();
    const { name, num_pending } = await consumers.add(this.#streams.replies, {
      ack_policy: 'none',
      deliver_policy: 'by_start_sequence',
      opt_start_seq: known + 1,
      filter_subject: this.#subject,
      inactive_threshold: nanos(FORGOTTEN_AFTER_MS),
      mem_storage: true,
      num_replicas: 1,
    });
    this.#created = created;
    this.#consumer = name;
    this.#consumerSeq = 0;
    this.seq = known;
    if (this.#isClosed()) return;
    this.#state = 'behind';
    this.#pull.open(this.#streams.replies, name);
    this.#ask();
    if (num_pending === 0) this.idle();
  }

  async #deleteConsumer(): Promise<void> {
    const name = this.#consumer;
    this.#consumer = undefined;
    if (name === undefined || this.#link.state !== 'up') return;
    try {
      const { consumers } = await this.#link.admin();
      await consumers.delete(this.#streams.replies, name);
    } catch {
      // It is gone already, or the server is; it forgets the consumer by itself.
    }
  }
}
