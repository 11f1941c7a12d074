import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { MessageTooLargeError } from '../framing/framing-errors';
import { AGAIN_AFTER_MS, type Link, type LinkListener } from './link';
import { headers } from './peers';
import { Publisher } from './publisher';
import type { Delivery } from './pull';
import { DeadLetterError, QueueClosedError } from './queue-errors';
import type { QueueTally } from './queue-statistics';
import type { QueueStreams } from './queue-streams';
import { ReplyReader, type ReplyReaderOwner } from './reply-reader';
import { framed, framedBytes, HEADER_BYTES, idOf, labelled, labelOf, unframed, unpacked, type RowResult } from './wire';

export interface JobSettings {
  readonly job: string;
  readonly from: number;
  /** How many rows are asked for at a time, at most. */
  readonly window: number;
  readonly batch: number;
  readonly republishMs: number;
}

/** Rows that went to the server together. */
interface Parcel {
  readonly first: number;
  readonly rows: readonly Row[];
  /** How many of them nobody has answered yet. */
  left: number;
  id: string;
  /** How often it was published again. */
  repeats: number;
  /** Of the stream of rows; undefined until it is stored. */
  seq: number | undefined;
  /** The last reply that was known when it was published: replies to it came later. */
  readonly repliesSeq: number;
  /** When it was last known to be at the server. */
  seenAt: number;
  /** Whether the server did not have it when it was last asked. Its reply may have been under way. */
  isMissing: boolean;
}

/** A row that its caller waits for. */
export interface Asked {
  readonly number: number;
  settle(result: RowResult | Error): void;
}

/** A message in the stream of rows. */
interface Place {
  readonly seq: number;
  readonly id: string;
}

interface Row extends Asked {
  readonly bytes: Buffer;
  readonly askedAt: number;
  parcel: Parcel | undefined;
  /** Where a worker has put it, away from its parcel. */
  movedTo: Place | undefined;
}

const LOOK_EVERY_MS = 250;
/** A parcel that is missing twice, this long apart, with no reply to it, is lost. */
const GRACE_MS = 1000;

/**
 * One job of a producer: numbers its rows, publishes them, and gives each the reply that the workers stored for it, over
 * the deaths of workers, of the server, of the server's store, and, with the same name and `from`, of the producer.
 *
 * opening (what was stored before is read, nothing is published) -> open -> closed
 */
export class Job implements ReplyReaderOwner, LinkListener {
  readonly #link: Link;
  readonly #streams: QueueStreams;
  readonly #settings: JobSettings;
  readonly #tally: QueueTally;
  readonly #reader: ReplyReader;
  readonly #publisher: Publisher;
  readonly #timer: NodeJS.Timeout;
  readonly #ended: (error: Error) => void;
  /** Asked for and not answered, by number. */
  readonly #rows = new Map<number, Row>();
  /** Published and not wholly answered, the oldest first. */
  readonly #parcels = new Set<Parcel>();
  /** Replies of an earlier life to rows that are not asked for yet. */
  readonly #early = new Map<number, RowResult>();
  /** Asked for and not yet published. */
  #gathered: Row[] = [];
  #gatheredBytes = 0;
  #flush: NodeJS.Immediate | undefined;
  #next: number;
  #run = '';
  #state: 'opening' | 'open' | 'closed' = 'opening';
  #isLooking = false;
  #failure: Error | undefined;

  /** @param ended is told once, with what the rows are rejected with from then on */
  constructor(
    link: Link,
    streams: QueueStreams,
    settings: JobSettings,
    tally: QueueTally,
    ended: (error: Error) => void,
  ) {
    this.#link = link;
    this.#ended = ended;
    this.#streams = streams;
    this.#settings = settings;
    this.#tally = tally;
    this.#next = settings.from;
    if (link.state === 'closed') throw new QueueClosedError(streams.name, 'the connection is closed', link.cause);
    this.#publisher = new Publisher(link, () => streams.ensure());
    this.#reader = new ReplyReader(link, streams, streams.repliesOf(settings.job), this);
    this.#timer = setInterval(() => void this.#look(), LOOK_EVERY_MS).unref();
    link.add(this);
    this.#reader.start();
  }

  get isClosed(): boolean {
    return this.#state === 'closed';
  }

  /** The next row. `settle` is called once, later, unless it is forgotten before. */
  ask(bytes: Buffer, settle: Asked['settle']): Asked {
    const row: Row = {
      number: this.#next++,
      bytes,
      settle,
      askedAt: performance.now(),
      parcel: undefined,
      movedTo: undefined,
    };
    this.#tally.pending += 1;
    this.#rows.set(row.number, row);
    const early = this.#early.get(row.number);
    this.#early.delete(row.number);
    const mostBytes = this.#mostBytes;
    if (this.#failure !== undefined) {
      const failure = this.#failure;
      process.nextTick(() => this.#settle(row, failure));
    } else if (early !== undefined) {
      process.nextTick(() => this.#settle(row, early));
    } else if (framedBytes(bytes) > mostBytes) {
      const error = new MessageTooLargeError({
        messageBytes: bytes.length,
        maxMessageBytes: mostBytes - framedBytes(Buffer.alloc(0)),
      });
      process.nextTick(() => this.#settle(row, error));
    } else {
      this.#gather(row);
    }
    this.#reader.resume();
    return row;
  }

  /** Nobody waits for this row any more. It may be worked on all the same. */
  forget({ number }: Asked): void {
    const row = this.#rows.get(number);
    if (row !== undefined) this.#take(row);
  }

  /** All is well with it: what the server keeps of the job is dropped, unless it is to stay. A server that is away is waited for. */
  async finish(keep: boolean, error?: Error): Promise<void> {
    if (this.#state !== 'closed' && !keep) await this.#purge();
    await this.close(error ?? new QueueClosedError(this.#streams.name, `job ${this.#settings.job} has ended`));
  }

  /** The job can be taken up by another of its name. Resolves when the server knows nothing of us any more. */
  async close(error: Error): Promise<void> {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#failure ??= error;
    clearInterval(this.#timer);
    clearImmediate(this.#flush);
    this.#link.delete(this);
    this.#publisher.close(error);
    this.#early.clear();
    this.#parcels.clear();
    this.#gathered = [];
    for (const row of [...this.#rows.values()]) this.#settle(row, error);
    this.#tally.publish();
    this.#ended(error);
    await this.#reader.close();
  }

  reconnected(): void {
    // The reader hears of it by itself, and says `caughtUp` when it is at work again.
  }

  closed(cause: Error | undefined): void {
    this.failed(new QueueClosedError(this.#streams.name, 'the connection was closed', cause));
  }

  failed(error: Error): void {
    void this.close(error);
  }

  async prepare(): Promise<void> {
    await this.#streams.ensure();
    const { streams } = await this.#link.admin();
    const subject = this.#streams.runOf(this.#settings.job);
    const found = await streams.getMessage(this.#streams.replies, { last_by_subj: subject });
    // A run goes on, over the lives of its producers, until a good end drops it.
    if (this.#run === '') this.#run = found?.string() ?? randomBytes(8).toString('hex');
    if (found?.string() !== this.#run) await this.#publisher.publish(subject, Buffer.from(this.#run), headers());
  }

  knownUpTo(): number {
    const [oldest] = this.#parcels;
    return Math.min(this.#reader.seq, oldest?.repliesSeq ?? Infinity);
  }

  caughtUp(): void {
    if (this.#state === 'closed') return;
    if (this.#state === 'opening') {
      this.#state = 'open';
      this.#publishGathered();
      return;
    }
    // The server was away, and may have lost rows.
    for (const parcel of this.#parcels) parcel.seenAt = 0;
    void this.#look();
  }

  received({ headers: given, data }: Delivery): void {
    const label = labelOf(given);
    if (label?.run !== this.#run) return;
    let frames: Buffer[];
    let results: RowResult[];
    try {
      frames = unframed(data);
      results = label.movedTo === undefined ? frames.map(unpacked) : [];
    } catch {
      return;
    }
    const { movedTo } = label;
    if (movedTo !== undefined) {
      for (const index of frames.keys()) this.#moved(label.first + index, { seq: movedTo, id: label.id });
      return;
    }
    for (const [index, result] of results.entries()) this.#answered(label.first + index, result);
    // Of what is kept for later there may be more than fits here.
    if (this.#rows.size === 0 && this.#early.size >= 2 * this.#settings.window) this.#reader.pause();
  }

  #answered(number: number, result: RowResult): void {
    const row = this.#rows.get(number);
    if (row !== undefined) this.#settle(row, result);
    else if (number >= this.#next) this.#early.set(number, result);
  }

  #moved(number: number, place: Place): void {
    const row = this.#rows.get(number);
    if (row === undefined) return;
    row.movedTo = place;
    if (row.parcel !== undefined) row.parcel.isMissing = false;
  }

  #settle(row: Row, result: RowResult | Error): void {
    if (!this.#take(row)) return;
    if (result instanceof Error) {
      row.settle(result);
      return;
    }
    this.#tally.rowMs.record(performance.now() - row.askedAt);
    if (result.kind === 'reply') {
      this.#tally.replies += 1;
      row.settle(result);
      return;
    }
    this.#tally.deadLetters += 1;
    const { code, reason, deliveries } = result;
    row.settle(new DeadLetterError({ queue: this.#streams.name, row: row.number, deliveries, code, reason }));
  }

  /** @returns false for one that is settled already */
  #take(row: Row): boolean {
    if (this.#rows.get(row.number) !== row) return false;
    this.#rows.delete(row.number);
    this.#tally.pending -= 1;
    this.#tally.worked();
    const { parcel } = row;
    if (parcel === undefined) return true;
    parcel.left -= 1;
    if (parcel.left === 0) this.#parcels.delete(parcel);
    return true;
  }

  get #mostBytes(): number {
    return this.#link.maxPayloadBytes - HEADER_BYTES;
  }

  #gather(row: Row): void {
    const bytes = framedBytes(row.bytes);
    const last = this.#gathered.at(-1);
    const isFull = this.#gathered.length >= this.#settings.batch || this.#gatheredBytes + bytes > this.#mostBytes;
    // The rows of a message are numbered one after another.
    if (this.#state === 'open' && last !== undefined && (isFull || last.number + 1 !== row.number))
      this.#publishGathered();
    this.#gathered.push(row);
    this.#gatheredBytes += bytes;
    if (this.#state !== 'open') return;
    if (this.#gathered.length >= this.#settings.batch) this.#publishGathered();
    else this.#flush ??= setImmediate(() => this.#publishGathered());
  }

  #publishGathered(): void {
    clearImmediate(this.#flush);
    this.#flush = undefined;
    const all = this.#gathered;
    this.#gathered = [];
    this.#gatheredBytes = 0;
    let [batch, bytes]: [Row[], number] = [[], 0];
    const send = (): void => {
      if (batch.length > 0) this.#send(batch);
      [batch, bytes] = [[], 0];
    };
    for (const row of all) {
      // Answered by an earlier life's reply, or given up, while it waited here.
      if (this.#rows.get(row.number) !== row) continue;
      const rowBytes = framedBytes(row.bytes);
      const last = batch.at(-1);
      const isNext = last === undefined || last.number + 1 === row.number;
      if (!isNext || batch.length >= this.#settings.batch || bytes + rowBytes > this.#mostBytes) send();
      batch.push(row);
      bytes += rowBytes;
    }
    send();
  }

  #send(rows: readonly Row[]): void {
    const first = rows[0]?.number ?? 0;
    const parcel: Parcel = {
      first,
      rows,
      left: rows.length,
      id: idOf(this.#run, first, rows.length),
      repeats: 0,
      seq: undefined,
      repliesSeq: this.#reader.seq,
      seenAt: performance.now(),
      isMissing: false,
    };
    for (const row of rows) row.parcel = parcel;
    this.#parcels.add(parcel);
    void this.#publish(parcel);
  }

  async #publish(parcel: Parcel): Promise<void> {
    const { first, rows, id } = parcel;
    const startedAt = performance.now();
    parcel.seq = undefined;
    parcel.isMissing = false;
    try {
      const label = labelled({ first, run: this.#run, id });
      const subject = this.#streams.rowsOf(this.#settings.job);
      const { seq, isDuplicate } = await this.#publisher.publish(
        subject,
        framed(rows.map(({ bytes }) => bytes)),
        label,
      );
      parcel.seq = seq;
      // A double of what is worked on, or of what has been, and then its reply is here soon or not at all.
      parcel.seenAt = isDuplicate ? 0 : performance.now();
      this.#tally.messages += 1;
      this.#tally.rows += rows.length;
      if (isDuplicate) this.#tally.duplicates += 1;
      this.#tally.messageMs.record(performance.now() - startedAt);
    } catch (error) {
      this.failed(error as Error);
    }
  }

  /** Asks the server for parcels that stay unanswered for long, and publishes again what it does not have. */
  async #look(): Promise<void> {
    if (this.#isLooking || this.#state !== 'open' || !this.#reader.isCurrent || this.#link.state !== 'up') return;
    const now = performance.now();
    const late = [...this.#parcels].filter((parcel) => this.#isLate(parcel, now));
    if (late.length === 0) return;
    this.#isLooking = true;
    const wasMissing = new Set(late.filter(({ isMissing }) => isMissing));
    try {
      for (const parcel of late) {
        if (this.#parcels.has(parcel)) await this.#check(parcel);
      }
      // Its reply may be there, and the server have lost that we have not read it.
      if (late.some((parcel) => parcel.isMissing && !wasMissing.has(parcel))) this.#reader.lost();
    } catch {
      // The server is away; there is another look.
    } finally {
      this.#isLooking = false;
    }
  }

  #isLate({ seq, seenAt, isMissing }: Parcel, now: number): boolean {
    return seq !== undefined && now - seenAt >= (isMissing ? GRACE_MS : this.#settings.republishMs);
  }

  async #check(parcel: Parcel): Promise<void> {
    const isThere = await this.#isAtServer(parcel);
    if (!this.#parcels.has(parcel) || this.#isClosed()) return;
    if (!isThere && parcel.isMissing) {
      parcel.repeats += 1;
      parcel.id = `${idOf(this.#run, parcel.first, parcel.rows.length)}~${parcel.repeats}`;
      for (const row of parcel.rows) row.movedTo = undefined;
      this.#tally.returned += 1;
      void this.#publish(parcel);
      return;
    }
    parcel.isMissing = !isThere;
    parcel.seenAt = performance.now();
  }

  /** Whether all of its rows that have no reply are in the stream of rows. */
  async #isAtServer({ rows, seq, id }: Parcel): Promise<boolean> {
    const places = new Map<number, string>();
    for (const row of rows) {
      if (this.#rows.get(row.number) !== row) continue;
      if (row.movedTo !== undefined) places.set(row.movedTo.seq, row.movedTo.id);
      else if (seq !== undefined) places.set(seq, id);
    }
    const { streams } = await this.#link.admin();
    for (const [place, expected] of places) {
      const stored = await streams.getMessage(this.#streams.rows, { seq: place });
      if (labelOf(stored?.header)?.id !== expected || (await this.#isForgotten(place))) return false;
    }
    return true;
  }

  /** Whether a row that is stored will never be delivered: the workers' consumer is past it, and waits for nothing. */
  async #isForgotten(seq: number): Promise<boolean> {
    const info = await this.#streams.consumerInfo();
    return info?.num_ack_pending === 0 && info.delivered.stream_seq >= seq;
  }

  #isClosed(): boolean {
    return this.#state === 'closed';
  }

  /** Until the server has done it: the next run of this job would take what is left for its own. */
  async #purge(): Promise<void> {
    while (!this.#isClosed()) {
      try {
        if (this.#link.state === 'up') {
          await this.#purgeOnce();
          return;
        }
      } catch (error) {
        if (this.#link.isRefusal(error)) return;
      }
      await delay(AGAIN_AFTER_MS);
    }
  }

  async #purgeOnce(): Promise<void> {
    const { job } = this.#settings;
    const { streams } = await this.#link.admin();
    // The run first: were we killed after it, what is left would be another run's, and nobody's.
    await streams.purge(this.#streams.replies, { filter: this.#streams.runOf(job) });
    await streams.purge(this.#streams.replies, { filter: this.#streams.trialOf(job, '*') });
    await streams.purge(this.#streams.replies, { filter: this.#streams.repliesOf(job) });
    // Not the rows: none is left but for doubles, and server 2.9 then forgets rows of other jobs.
  }
}
