import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { MessageTooLargeError } from '../framing/framing-errors';
import type { Message } from '../framing/frame-writer';
import { shown } from '../options';
import type { Requester } from '../port/request-transform';
import { HeldMessage } from './held-message';
import { AGAIN_AFTER_MS, type Link, type LinkListener } from './link';
import { Publisher } from './publisher';
import { Pull, type Delivery, type PullOwner } from './pull';
import { QueueClosedError } from './queue-errors';
import { QueueTally, type QueueStatistics } from './queue-statistics';
import type { QueueStreams } from './queue-streams';
import { RowNotes } from './row-notes';
import { codeOf, judge, reasonOf } from './row-verdict';
import { framed, framedBytes, HEADER_BYTES, idOf, type Label, labelled, packed, type RowResult } from './wire';

/**
 * What answers the rows: a PortPool, a Port, or your own. One of your own that has no `requestTimeoutMs` at all is taken
 * to know its deadlines by itself.
 */
export interface ServedPool extends Requester<Buffer, Message> {
  /** How many requests its children hold together. Default 1. */
  readonly capacity?: number | undefined;
  /** The deadline that its requests have without one of their own; undefined for none. */
  readonly requestTimeoutMs?: number | undefined;
  /** The same, from the moment a child was given the request. */
  readonly runTimeoutMs?: number | undefined;
}

export interface WorkerSettings {
  readonly capacity: number;
  readonly ackWaitMs: number;
  readonly maxDeliver: number;
  readonly retryDelayMs: number;
  readonly timeoutMs: number | undefined;
}

/** What became of one row here: a result for the producer, or a failure that another host may not have. */
type Outcome = RowResult | { readonly kind: 'retry' | 'broken'; readonly error: unknown };

/** How often a batch may be lost before its rows go on alone, so that each has a count of its own. */
const BATCH_DELIVERIES = 2;
const DONE_KEPT = 1024;
/** Before a pool is asked again that was full. */
const FULL_AGAIN_MS = 20;

/**
 * starting -> serving -> draining (what the server has sent is still on its way) -> emptying (what is held is answered)
 * -> over. The signal, a pool that can answer no more and a connection that is gone begin the draining.
 */
export class QueueWorker implements PullOwner, LinkListener {
  readonly #pool: ServedPool;
  readonly #link: Link;
  readonly #streams: QueueStreams;
  readonly #settings: WorkerSettings;
  readonly #pull: Pull;
  readonly #publisher: Publisher;
  readonly #tally: QueueTally;
  readonly #notes: RowNotes;
  /** By their keys. */
  readonly #held = new Map<string, HeldMessage>();
  /** Keys of messages that were acknowledged lately: the server may have sent one again before it heard that. */
  readonly #done = new Set<string>();
  readonly #keepAlive: NodeJS.Timeout;
  readonly #over: Promise<void>;
  #resolveOver = (): void => {};
  #state: 'starting' | 'serving' | 'draining' | 'emptying' | 'over' = 'starting';
  #failure: Error | undefined;
  #isRecovering = false;
  /** Runs with no other beside it; no more are taken meanwhile. */
  #alone: HeldMessage | undefined;
  #heldLess = (): void => {};

  constructor(pool: ServedPool, link: Link, streams: QueueStreams, settings: WorkerSettings) {
    this.#pool = pool;
    this.#link = link;
    this.#streams = streams;
    this.#settings = settings;
    this.#tally = new QueueTally(streams.name, 'worker');
    this.#over = new Promise((resolve) => (this.#resolveOver = resolve));
    if (link.state === 'closed') throw new QueueClosedError(streams.name, 'the connection is closed', link.cause);
    link.add(this);
    this.#pull = new Pull(link, this);
    this.#publisher = new Publisher(link, () => streams.ensure());
    const runsAlone = (run: string, row: number): boolean =>
      this.#alone?.label.run === run && this.#alone.label.first === row;
    this.#notes = new RowNotes(link, streams, this.#publisher, runsAlone);
    this.#keepAlive = setInterval(() => this.#tellWorking(), settings.ackWaitMs / 3).unref();
  }

  /** Resolves when it is drained, rejects with what made it end otherwise. */
  async run(): Promise<QueueStatistics> {
    try {
      await this.#begin();
      await this.#over;
      if (this.#failure !== undefined) throw this.#failure;
      return this.#tally.take();
    } finally {
      this.#state = 'over';
      clearInterval(this.#keepAlive);
      this.#link.delete(this);
      this.#pull.close();
      this.#notes.close();
      this.#publisher.close(this.#failure ?? new QueueClosedError(this.#streams.name, 'the worker has ended'));
      this.#tally.publish();
    }
  }

  /** Takes no more messages, and ends when those that are held are settled. */
  drain(): void {
    if (this.#state !== 'starting' && this.#state !== 'serving') return;
    this.#state = 'draining';
    void this.#pull.drain().then(() => {
      if (this.#state === 'draining') this.#state = 'emptying';
      this.#endWhenEmpty();
    });
  }

  delivered(delivery: Delivery): void {
    const message = HeldMessage.from(this.#link, delivery, this.#streams.jobOf(delivery.subject));
    if (message === undefined) {
      this.#ask();
      return;
    }
    const held = this.#held.get(message.key);
    if (held !== undefined || this.#done.has(message.key)) {
      if (held === undefined) message.acknowledge(undefined);
      else held.takeOver(delivery);
      this.#ask();
      return;
    }
    this.#held.set(message.key, message);
    this.#tally.messages += 1;
    this.#tally.rows += message.rows.length;
    this.#tally.pending += message.rows.length;
    void this.#work(message).finally(() => {
      this.#release(message);
      this.#tally.messageMs.record(performance.now() - message.receivedAt);
      this.#tally.worked();
      this.#ask();
      this.#endWhenEmpty();
    });
  }

  lapsed(): void {
    this.#ask();
  }

  lost(): void {
    void this.#recover();
  }

  reconnected(): void {
    // The pull hears of it by itself. The server may have lost the results.
    this.#done.clear();
  }

  closed(cause: Error | undefined): void {
    this.#fail(new QueueClosedError(this.#streams.name, 'the connection was closed', cause));
    // Nothing that is held can be settled any more.
    this.#resolveOver();
  }

  async #begin(): Promise<void> {
    if (this.#state !== 'starting') return;
    try {
      await this.#open();
    } catch (error) {
      // The server is away: it is waited for. What it refuses, it will refuse again.
      if (this.#link.isRefusal(error)) throw error;
      await this.#recover();
    }
    if (this.#isStill('starting')) this.#state = 'serving';
    this.#ask();
  }

  async #open(): Promise<void> {
    await this.#streams.ensure();
    await this.#streams.ensureConsumer(this.#settings.ackWaitMs);
    this.#pull.open(this.#streams.rows, this.#streams.consumer);
  }

  /** Until the streams and the consumer are there, or nothing is to be taken any more. */
  async #recover(): Promise<void> {
    if (this.#isRecovering) return;
    this.#isRecovering = true;
    while (this.#isStill('starting') || this.#isStill('serving')) {
      try {
        if (this.#link.state === 'up') {
          await this.#open();
          break;
        }
      } catch {
        // Not yet there.
      }
      await delay(AGAIN_AFTER_MS, undefined, { ref: false });
    }
    this.#isRecovering = false;
    this.#ask();
  }

  #isStill(state: 'starting' | 'serving'): boolean {
    return this.#state === state;
  }

  #ask(): void {
    if (!this.#isAsking) return;
    this.#pull.ask(this.#settings.capacity - this.#held.size - this.#pull.outstanding);
  }

  /** Together with the ask for the next ones: the server then never counts more than our capacity. */
  #acknowledge(message: HeldMessage): void {
    this.#release(message);
    this.#remember(message);
    const room = this.#isAsking ? this.#settings.capacity - this.#held.size - this.#pull.outstanding : 0;
    message.acknowledge(room > 0 ? this.#pull.order(room) : undefined);
  }

  #release(message: HeldMessage): void {
    if (this.#alone === message) this.#alone = undefined;
    if (this.#held.delete(message.key)) this.#tally.pending -= message.rows.length;
    this.#heldLess();
  }

  #remember({ key }: HeldMessage): void {
    this.#done.add(key);
    const [oldest = ''] = this.#done;
    if (this.#done.size > DONE_KEPT) this.#done.delete(oldest);
  }

  get #isAsking(): boolean {
    return this.#state === 'serving' && !this.#isRecovering && this.#alone === undefined;
  }

  #tellWorking(): void {
    for (const message of this.#held.values()) message.working();
  }

  #endWhenEmpty(): void {
    if (this.#state === 'emptying' && this.#held.size === 0) this.#resolveOver();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.drain();
  }

  async #work(message: HeldMessage): Promise<void> {
    try {
      await this.#settle(message);
    } catch (error) {
      // Only where the results could not be stored, and never will be.
      message.giveBack(this.#settings.retryDelayMs);
      this.#fail(error as Error);
    }
  }

  async #settle(message: HeldMessage): Promise<void> {
    const { rows, deliveries } = message;
    const { maxDeliver } = this.#settings;
    if (rows.length > 1 && deliveries > Math.min(BATCH_DELIVERIES, maxDeliver)) {
      await this.#sendAlone(message, rows.keys(), 0);
      this.#acknowledge(message);
      return;
    }
    if (this.#isSuspect(message) && !(await this.#standAlone(message))) return;
    const outcomes = await Promise.all(rows.map((row) => this.#answer(row, message)));
    const broken = outcomes.find(({ kind }) => kind === 'broken');
    if (broken !== undefined) await this.#giveBackUnharmed(message, this.#settings.retryDelayMs);
    else await this.#conclude(message, outcomes);
  }

  /** It may be what takes workers away, and this is its last delivery: it gets no others into danger, nor they it. */
  #isSuspect({ rows, deliveries, label }: HeldMessage): boolean {
    const attempt = deliveries + (label.tried ?? 0);
    return rows.length === 1 && attempt > 1 && attempt >= this.#settings.maxDeliver;
  }

  /**
   * Waits until nothing else is held, and notes at the server that the row runs alone now.
   * @returns false where the row is settled: it went back, or its worker was lost when it ran alone before
   */
  async #standAlone(message: HeldMessage): Promise<boolean> {
    if (this.#alone !== undefined) {
      await this.#giveBackUnharmed(message, 0);
      return false;
    }
    this.#alone = message;
    const { maxDeliver, ackWaitMs } = this.#settings;
    switch (await this.#notes.trialOf(message)) {
      case 'running':
        this.#tally.returned += 1;
        message.giveBack(ackWaitMs);
        return false;
      case 'lost': {
        const reason = `its worker was lost with it ${maxDeliver} times, the last time with no other row beside it`;
        const lost = { kind: 'dead', code: 'ERR_REXPORT_WORKER_LOST', reason, deliveries: maxDeliver } as const;
        await this.#storeResults(message, [lost]);
        this.#acknowledge(message);
        return false;
      }
      case 'untried':
    }
    while (this.#held.size > 1) await new Promise<void>((resolve) => (this.#heldLess = resolve));
    await this.#notes.beginAlone(message);
    return true;
  }

  /** Asks the pool until the answer is the row's own. */
  async #answer(row: Buffer, message: HeldMessage): Promise<Outcome> {
    const { timeoutMs } = this.#settings;
    for (;;) {
      try {
        const reply = await this.#pool.request(row, { idempotent: true, timeoutMs });
        this.#tally.rowMs.record(performance.now() - message.receivedAt);
        return { kind: 'reply', reply: bytesOf(reply) };
      } catch (error) {
        const verdict = judge(error, this.#pool.state);
        if (verdict === 'dead') return this.#dead(error, message);
        if (verdict === 'broken') {
          // Told at once, so that no more rows are taken.
          this.#fail(error as Error);
          return { kind: 'broken', error };
        }
        if (verdict === 'retry') return { kind: 'retry', error };
        if (codeOf(error) === 'ERR_REXPORT_QUEUE_FULL') await delay(FULL_AGAIN_MS);
      }
    }
  }

  #dead(error: unknown, { deliveries, label }: HeldMessage): RowResult {
    return { kind: 'dead', code: codeOf(error), reason: reasonOf(error), deliveries: deliveries + (label.tried ?? 0) };
  }

  /**
   * It goes back as a message of its own, so that this delivery does not count against it. (The server counts each
   * delivery, and a refusal from a worker that leaves sometimes as two.)
   */
  async #giveBackUnharmed(message: HeldMessage, delayMs: number): Promise<void> {
    this.#tally.returned += 1;
    const { deliveries, label, rows, job } = message;
    if (delayMs > 0) await delay(delayMs, undefined, { ref: false });
    const [id = ''] = label.id.split('+');
    const tried = (label.tried ?? 0) + deliveries - 1;
    const again = { first: label.first, run: label.run, id: `${id}+${randomBytes(6).toString('hex')}`, tried };
    // It did not run: the next worker is to try it.
    if (this.#alone === message) await this.#notes.endAlone(message);
    await this.#move(job, again, rows);
    this.#acknowledge(message);
  }

  /** Publishes rows as a message of their own, and tells the producer where they are now. */
  async #move(job: string, label: Label, rows: readonly Buffer[]): Promise<void> {
    const { seq } = await this.#publisher.publish(this.#streams.rowsOf(job), framed(rows), labelled(label));
    const note = labelled({ first: label.first, run: label.run, id: label.id, movedTo: seq });
    await this.#publisher.publish(this.#streams.repliesOf(job), framed(rows.map(() => '')), note);
  }

  async #conclude(message: HeldMessage, outcomes: readonly Exclude<Outcome, { kind: 'broken' }>[]): Promise<void> {
    const { maxDeliver, retryDelayMs } = this.#settings;
    const results = await Promise.all(
      outcomes.map(async (outcome, index): Promise<RowResult | undefined> => {
        if (outcome.kind !== 'retry') return outcome as RowResult;
        const failures = await this.#notes.countFailure(message, index);
        return failures < maxDeliver ? undefined : this.#dead(outcome.error, message);
      }),
    );
    if (results.length === 1 && results[0] === undefined) {
      this.#tally.returned += 1;
      message.giveBack(retryDelayMs);
      return;
    }
    await this.#storeResults(message, results);
    const left = [...results.keys()].filter((index) => results[index] === undefined);
    // The others of its batch have their replies: what failed is tried again alone.
    if (left.length > 0) await this.#sendAlone(message, left, 1);
    this.#acknowledge(message);
  }

  /** Publishes rows of a batch as messages of their own. */
  async #sendAlone(message: HeldMessage, indexes: Iterable<number>, tried: number): Promise<void> {
    const { job, rows, label } = message;
    const sent = [...indexes].map((index) => {
      const alone = { first: label.first + index, run: label.run, id: `${label.id}/${index}`, tried };
      return this.#move(job, alone, [rows[index] ?? Buffer.alloc(0)]);
    });
    this.#tally.returned += sent.length;
    await Promise.all(sent);
  }

  /** Stores what there is, in as few messages as it fits in; resolves when the server has confirmed all of it. */
  async #storeResults(message: HeldMessage, results: readonly (RowResult | undefined)[]): Promise<void> {
    const mostBytes = this.#link.maxPayloadBytes - HEADER_BYTES;
    const stored: Promise<unknown>[] = [];
    let [first, bytes, run]: [number, number, Buffer[]] = [0, 0, []];
    const store = (): void => {
      if (run.length > 0) stored.push(this.#storeRun(message, first, run));
      [bytes, run] = [0, []];
    };
    for (const [index, result] of results.entries()) {
      if (result === undefined) {
        store();
        continue;
      }
      const frame = this.#fitting(packed(result), message, mostBytes);
      if (bytes + framedBytes(frame) > mostBytes) store();
      if (run.length === 0) first = message.label.first + index;
      run.push(frame);
      bytes += framedBytes(frame);
      if (frame[0] === 0) this.#tally.replies += 1;
      else this.#tally.deadLetters += 1;
    }
    store();
    await Promise.all(stored);
  }

  async #storeRun({ job, label }: HeldMessage, first: number, frames: readonly Buffer[]): Promise<void> {
    const { run } = label;
    const reply = labelled({ first, run, id: idOf(run, first, frames.length) });
    const { isDuplicate } = await this.#publisher.publish(this.#streams.repliesOf(job), framed(frames), reply);
    if (isDuplicate) this.#tally.duplicates += 1;
  }

  /** A reply that the server would not take is the row's failure. */
  #fitting(frame: Buffer, message: HeldMessage, mostBytes: number): Buffer {
    if (framedBytes(frame) <= mostBytes) return frame;
    const facts = { messageBytes: frame.length - 1, maxMessageBytes: mostBytes - framedBytes(Buffer.alloc(1)) };
    return packed(this.#dead(new MessageTooLargeError(facts), message));
  }
}

/** @throws TypeError for a reply that is no bytes: `decode` belongs to the producer */
function bytesOf(reply: Message): Uint8Array {
  if (typeof reply === 'string') return Buffer.from(reply);
  if (ArrayBuffer.isView(reply)) return Buffer.from(reply.buffer, reply.byteOffset, reply.byteLength);
  throw Object.assign(new TypeError(`expected the pool's reply to be bytes or text, got ${shown(reply)}`), {
    code: 'ERR_REXPORT_INVALID_MESSAGE',
  });
}
