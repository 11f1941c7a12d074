import { onAbort } from '../abort';
import { checkSignal } from '../duplex/port-duplex-options';
import { AbortError, TimeoutError } from '../errors';
import type { Message } from '../framing/frame-writer';
import { InvalidMessageError } from '../framing/framing-errors';
import { boolean, integer, refuseUnknown, shown } from '../options';
import { Job, type JobSettings } from './job';
import { Link } from './link';
import type { NatsConnection } from './peers';
import { QueueClosedError } from './queue-errors';
import { QueueTally, type QueueStatistics } from './queue-statistics';
import { QueueStreams, queueWord, STREAM_KEYS, type QueueStreamOptions } from './queue-streams';
import { QueueTransform, type QueueTransformOptions } from './queue-transform';

/** What `new PortQueue(connection, name, options)` takes: these, and those of the streams. All have a default. */
export interface PortQueueOptions<Request, Reply> extends QueueStreamOptions {
  /** Makes the bytes of a row. Default: a row is bytes or text. */
  readonly encode?: ((request: Request) => Message) | undefined;
  /** Makes a reply of its bytes. Default: the bytes. */
  readonly decode?: ((reply: Buffer) => Reply) | undefined;
  /**
   * Milliseconds that a row may be without a reply before the server is asked whether it still has the row; what it has
   * lost is published again. Default 30,000.
   */
  readonly republishMs?: number | undefined;
}

/** What `request(row, options)` of a PortQueue takes. */
export interface QueueRequestOptions {
  /** Rejects the request with an AbortError. The row may be worked on all the same. */
  readonly signal?: AbortSignal | undefined;
  /** Rejects it with a TimeoutError this many milliseconds after the call. Default: none, it waits for workers. */
  readonly timeoutMs?: number | undefined;
}

const KEYS = ['encode', 'decode', 'republishMs', ...STREAM_KEYS] as const;
const MAX_DELAY_MS = 2 ** 31 - 1;
/** A window for single requests, which nobody bounds. */
const REQUESTS_WINDOW = 1024;

/**
 * The producers' end of a queue: rows go to whatever workers serve it, on any host, and come back as replies. Each row
 * has exactly one result, whichever of them all is killed.
 *
 * The connection stays yours: close the queue first, then the connection.
 */
export class PortQueue<Request = Message, Reply = Buffer> {
  readonly #link: Link;
  readonly #streams: QueueStreams;
  readonly #options: PortQueueOptions<Request, Reply>;
  readonly #republishMs: number;
  readonly #tally: QueueTally;
  readonly #jobs = new Set<Job>();
  /** Of `request()`. */
  #own: Job | undefined;
  #state: 'open' | 'closed' = 'open';

  /** @throws TypeError or RangeError for a wrong argument or option; what the server refuses fails the requests */
  constructor(connection: NatsConnection, name: string, options: PortQueueOptions<Request, Reply> = {}) {
    refuseUnknown('PortQueue', options, KEYS);
    const { encode, decode, republishMs = 30_000 } = options;
    for (const [key, hook] of Object.entries({ encode, decode })) {
      if (hook === undefined || typeof hook === 'function') continue;
      throw new TypeError(`expected \`${key}\` to be a function, got ${shown(hook)}`);
    }
    this.#republishMs = integer('republishMs', republishMs, 100, MAX_DELAY_MS);
    this.#options = options;
    queueWord('name', name);
    this.#link = new Link(connection);
    try {
      this.#streams = new QueueStreams(this.#link, name, options);
    } catch (error) {
      this.#link.release();
      throw error;
    }
    this.#tally = new QueueTally(name, 'producer');
  }

  /** The name of the queue. */
  get name(): string {
    return this.#streams.name;
  }

  /** `closed` from the call of `close()` on. */
  get state(): 'open' | 'closed' {
    return this.#state;
  }

  /** What was done so far by `request()` and by all transforms: a plain object, to be logged or charted. */
  statistics(): QueueStatistics {
    return this.#tally.take();
  }

  /**
   * One row, and the reply to it, from whichever worker. It waits for workers where there are none.
   *
   * Rejects with a DeadLetterError when no worker could answer it, MessageTooLargeError when the server does not take
   * rows that large, InvalidMessageError, TimeoutError, AbortError, QueueClosedError, or with what `encode` or `decode`
   * threw.
   */
  request(message: Request, options: QueueRequestOptions = {}): Promise<Reply> {
    // What is thrown is a rejection too.
    return new Promise((resolve) => {
      refuseUnknown('request', options, ['signal', 'timeoutMs']);
      const { signal, timeoutMs } = options;
      checkSignal(signal);
      if (timeoutMs !== undefined) integer('timeoutMs', timeoutMs, 1, MAX_DELAY_MS);
      this.#refuseClosed();
      if (signal?.aborted === true) throw new AbortError(signal);
      // A job of its own, which nobody takes up again.
      if (this.#own === undefined || this.#own.isClosed) {
        const job = `requests-${crypto.randomUUID()}`;
        this.#own = this.#begin({ job, from: 0, window: REQUESTS_WINDOW, batch: 1 });
      }
      resolve(this.#ask(this.#own, message, options));
    });
  }

  /**
   * A stage of a pipeline: row in, reply out, in the order of the rows. With the same `job`, and `from` = the replies
   * that are safe, a producer that was killed goes on where it was.
   * @throws TypeError or RangeError for a wrong option, QueueClosedError
   */
  transform(options: QueueTransformOptions<Request, Reply>): QueueTransform<Request, Reply> {
    refuseUnknown('transform', options, ['job', 'from', 'window', 'batch', 'ordered', 'onError', 'keep']);
    const { job, from = 0, window = 1024, batch = 1, ordered, onError, keep = false } = options;
    const settings = {
      job: queueWord('job', job),
      from: integer('from', from, 0, Number.MAX_SAFE_INTEGER),
      window: integer('window', window, 1, 1_000_000),
      batch: integer('batch', batch, 1, 100_000),
    };
    boolean('keep', keep);
    this.#refuseClosed();
    return new QueueTransform<Request, Reply>({
      begin: (ended) => this.#begin(settings, ended),
      ask: (begun, row) => this.#ask(begun, row, {}),
      window,
      keep,
      transform: { ordered, onError },
    });
  }

  /**
   * Rejects what is waited for and destroys the transforms; their jobs stay at the server and can be taken up again.
   * Resolves when the server knows nothing of us any more.
   */
  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    const error = new QueueClosedError(this.name, 'it is closed');
    // Nobody can ask for the replies to single requests again. A server that is away drops them by their age.
    const isUp = this.#link.state === 'up';
    const ends = [...this.#jobs].map((job) =>
      job === this.#own && isUp ? job.finish(false, error) : job.close(error),
    );
    await Promise.all(ends);
    this.#link.release();
  }

  /** The same as `close()`: for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #refuseClosed(): void {
    if (this.#state === 'closed') throw new QueueClosedError(this.name, 'it is closed');
  }

  #begin(settings: Omit<JobSettings, 'republishMs'>, ended?: (error: Error) => void): Job {
    const whole = { ...settings, republishMs: this.#republishMs };
    const job: Job = new Job(this.#link, this.#streams, whole, this.#tally, (error) => {
      this.#jobs.delete(job);
      ended?.(error);
    });
    this.#jobs.add(job);
    return job;
  }

  #ask(job: Job, message: Request, { signal, timeoutMs }: QueueRequestOptions): Promise<Reply> {
    const { encode, decode } = this.#options;
    return new Promise((resolve, reject) => {
      const bytes = bytesOf(encode === undefined ? (message as Message) : encode(message));
      const ends: (() => void)[] = [];
      const end = (): void => ends.forEach((one) => one());
      const asked = job.ask(bytes, (result) => {
        end();
        if (result instanceof Error) reject(result);
        else if (result.kind === 'reply') {
          const reply = result.reply as Buffer;
          // A throw of the caller's hook is a rejection.
          resolve(decode === undefined ? (reply as Reply) : Promise.resolve(reply).then(decode));
        }
      });
      const giveUp = (error: Error): void => {
        job.forget(asked);
        end();
        reject(error);
      };
      if (signal !== undefined) ends.push(onAbort(signal, () => giveUp(new AbortError(signal))));
      if (timeoutMs === undefined) return;
      const late = (): void => giveUp(new TimeoutError({ command: `queue ${this.name}`, timeoutMs, phase: 'reply' }));
      const timer = setTimeout(late, timeoutMs).unref();
      ends.push(() => clearTimeout(timer));
    });
  }
}

/** In memory of its own: a row is held until it is answered, and may have to be published again. */
function bytesOf(message: Message): Buffer {
  if (typeof message === 'string') return Buffer.from(message);
  if (!ArrayBuffer.isView(message)) throw new InvalidMessageError(message);
  return Buffer.from(new Uint8Array(message.buffer, message.byteOffset, message.byteLength));
}
