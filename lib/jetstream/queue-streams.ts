/** What a queue is at the server: a stream of rows, each for one worker, and a stream of replies, by job. */
import { boolean, integer, oneOf, shown } from '../options';
import type { Link } from './link';
import { JetStreamApiError, nanos, type ConsumerInfo } from './peers';

/** Of the two streams, for the side that makes them: a stream that exists stays as it is. */
export interface QueueStreamOptions {
  /** Where the server keeps the rows and the replies. Default `'file'`. */
  readonly storage?: 'file' | 'memory' | undefined;
  /** On how many servers of a cluster each is kept, 1 to 5. Default 1. */
  readonly replicas?: number | undefined;
  /** Milliseconds after which the server drops a row or a reply that nobody took. Default 24 hours. */
  readonly maxAgeMs?: number | undefined;
  /** Milliseconds for which the server remembers what it has, to drop doubles. Default 2 minutes. */
  readonly duplicateWindowMs?: number | undefined;
  /** Whether the streams are made where they are missing. Default true. */
  readonly ensure?: boolean | undefined;
}

export const STREAM_KEYS = ['storage', 'replicas', 'maxAgeMs', 'duplicateWindowMs', 'ensure'] as const;

const DAY_MS = 24 * 60 * 60 * 1000;
const MAX_AGE_MS = 365 * DAY_MS;
const MOST_WAITING_PULLS = 32_768;
const NAME = /^[\w-]{1,200}$/;

const STREAM_NOT_FOUND = 10059;
const CONSUMER_NOT_FOUND = 10014;

/** @throws TypeError or RangeError for what cannot be one word of a subject */
export function queueWord(what: string, value: unknown): string {
  if (typeof value === 'string' && NAME.test(value)) return value;
  const message = `expected \`${what}\` to be 1 to 200 letters, digits, - or _, got ${shown(value)}`;
  throw typeof value === 'string' ? new RangeError(message) : new TypeError(message);
}

export class QueueStreams {
  readonly name: string;
  readonly rows: string;
  readonly replies: string;
  readonly consumer = 'workers';
  readonly #link: Link;
  readonly #settings: Required<Record<'replicas' | 'maxAgeMs' | 'duplicateWindowMs', number>> & {
    readonly storage: 'file' | 'memory';
    readonly ensure: boolean;
  };
  #ensuring: Promise<void> | undefined;

  /** @throws TypeError or RangeError for a wrong option */
  constructor(link: Link, name: string, options: QueueStreamOptions) {
    const { storage = 'file', replicas = 1, maxAgeMs = DAY_MS, duplicateWindowMs = 120_000, ensure = true } = options;
    this.name = name;
    this.rows = `${name}_ROWS`;
    this.replies = `${name}_REPLIES`;
    this.#link = link;
    this.#settings = {
      storage: oneOf('storage', storage, ['file', 'memory'] as const),
      replicas: integer('replicas', replicas, 1, 5),
      maxAgeMs: integer('maxAgeMs', maxAgeMs, 1000, MAX_AGE_MS),
      duplicateWindowMs: integer('duplicateWindowMs', duplicateWindowMs, 100, MAX_AGE_MS),
      ensure: boolean('ensure', ensure),
    };
  }

  rowsOf(job: string): string {
    return `${this.name}.rows.${job}`;
  }

  repliesOf(job: string): string {
    return `${this.name}.replies.${job}`;
  }

  /** Where the present run of a job is told. */
  runOf(job: string): string {
    return `${this.name}.runs.${job}`;
  }

  /** Where the workers note what they found out about a row. */
  trialOf(job: string, row: number | '*'): string {
    return `${this.name}.trials.${job}.${row}`;
  }

  /** Where a worker is asked; of no stream. */
  workerOf(id: string): string {
    return `${this.name}.workers.${id}`;
  }

  /** The job whose row came on this subject. */
  jobOf(subject: string): string {
    return subject.slice(this.rowsOf('').length);
  }

  /** Makes the streams that are missing: at the start, and when the server has lost them. One at a time. */
  ensure(): Promise<void> {
    this.#ensuring ??= this.#ensure().finally(() => (this.#ensuring = undefined));
    return this.#ensuring;
  }

  /** Makes the workers' consumer, or sets its ack wait. */
  async ensureConsumer(ackWaitMs: number): Promise<ConsumerInfo> {
    const { consumers } = await this.#link.admin();
    const existing = await this.consumerInfo();
    if (!this.#settings.ensure) return existing ?? consumers.info(this.rows, this.consumer);
    if (existing !== undefined) {
      if (existing.config.ack_wait === nanos(ackWaitMs)) return existing;
      return consumers.update(this.rows, this.consumer, { ack_wait: nanos(ackWaitMs) });
    }
    return consumers.add(this.rows, {
      durable_name: this.consumer,
      ack_policy: 'explicit',
      deliver_policy: 'all',
      ack_wait: nanos(ackWaitMs),
      // The workers count: a row that the server gave up would stay in the stream unseen, and its job wait without end.
      max_deliver: -1,
      max_ack_pending: -1,
      max_waiting: MOST_WAITING_PULLS,
    });
  }

  /** @returns undefined where no worker has made it yet */
  async consumerInfo(): Promise<ConsumerInfo | undefined> {
    const { consumers } = await this.#link.admin();
    return unless(CONSUMER_NOT_FOUND, consumers.info(this.rows, this.consumer));
  }

  async #ensure(): Promise<void> {
    const { streams } = await this.#link.admin();
    const { storage, replicas, maxAgeMs, duplicateWindowMs, ensure } = this.#settings;
    if (!ensure) {
      await Promise.all([streams.info(this.rows), streams.info(this.replies)]);
      return;
    }
    const common = {
      storage,
      num_replicas: replicas,
      max_age: nanos(maxAgeMs),
      duplicate_window: nanos(Math.min(duplicateWindowMs, maxAgeMs)),
    };
    const make = async (name: string, subjects: string[], retention: 'workqueue' | 'limits'): Promise<void> => {
      if ((await unless(STREAM_NOT_FOUND, streams.info(name))) !== undefined) return;
      try {
        await streams.add({ ...common, name, subjects, retention });
      } catch (error) {
        // Another has made it meanwhile, with other options: it is there.
        if ((await unless(STREAM_NOT_FOUND, streams.info(name))) === undefined) throw error;
      }
    };
    await make(this.rows, [this.rowsOf('*')], 'workqueue');
    await make(this.replies, [this.repliesOf('*'), this.runOf('*'), this.trialOf('*', '*')], 'limits');
  }
}

/** @returns undefined where the server answers with this error */
async function unless<T>(errorCode: number, answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === errorCode) return undefined;
    throw error;
  }
}
