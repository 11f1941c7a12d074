import { onAbort } from '../abort';
import { checkSignal } from '../duplex/port-duplex-options';
import { integer, refuseUnknown, shown } from '../options';
import { Link } from './link';
import type { NatsConnection } from './peers';
import { queueWord, QueueStreams, STREAM_KEYS, type QueueStreamOptions } from './queue-streams';
import { QueueClosedError } from './queue-errors';
import type { QueueStatistics } from './queue-statistics';
import { QueueWorker, type ServedPool } from './queue-worker';

/** What `serveQueue(pool, connection, name, options)` takes: these, and those of the streams. */
export interface ServeQueueOptions extends QueueStreamOptions {
  /**
   * How many messages are held at a time; the server is never asked for more. Default: the `capacity` of the pool, which
   * is what its children hold together, and one.
   */
  readonly capacity?: number | undefined;
  /**
   * Milliseconds after which the rows of a host that is gone are given to another. The host reports three times in this time
   * that a row is still worked on. The same on all workers of a queue. Default 30,000.
   */
  readonly ackWaitMs?: number | undefined;
  /** How often a row may fail, or take its worker with it, until it is a dead letter. Default 5. */
  readonly maxDeliver?: number | undefined;
  /** Milliseconds before a row that failed is delivered again. Default 1000. */
  readonly retryDelayMs?: number | undefined;
  /**
   * Deadline of each row, in milliseconds from the moment when the pool is asked; what a row waits in the pool behind
   * others is not counted against it. Default: `requestTimeoutMs` and `runTimeoutMs` of the pool. One of the three is
   * needed: `ackWaitMs` is no deadline, for a row may take longer while its worker lives, and a row that hangs would stop
   * its job.
   */
  readonly timeoutMs?: number | undefined;
  /** Drains: no more rows are taken, those that are held are answered, then `serveQueue` resolves. */
  readonly signal?: AbortSignal | undefined;
}

const KEYS = [
  'capacity',
  'ackWaitMs',
  'maxDeliver',
  'retryDelayMs',
  'timeoutMs',
  'signal',
  ...STREAM_KEYS,
] as const satisfies readonly (keyof ServeQueueOptions)[];

const MAX_DELAY_MS = 2 ** 31 - 1;

/**
 * Answers the rows of a queue with this pool, until the signal fires. A row is answered at least once, whatever happens
 * to this host: its requests are `idempotent`.
 *
 * The pool and the connection stay yours: close them afterwards.
 * @returns what was done, when the last held row is answered
 * @throws TypeError or RangeError for a wrong option, at once. Rejects with the pool's BrokenError or ClosedError when it
 * can answer no more (its rows go to other workers), with a QueueClosedError when the connection is closed for good, and
 * with the server's error when the streams can neither be found nor made.
 */
export function serveQueue(
  pool: ServedPool,
  connection: NatsConnection,
  name: string,
  options: ServeQueueOptions = {},
): Promise<QueueStatistics> {
  refuseUnknown('serveQueue', options, KEYS);
  queueWord('name', name);
  const { ackWaitMs = 30_000, maxDeliver = 5, retryDelayMs = 1000, timeoutMs, signal, capacity, ...streams } = options;
  const settings = {
    capacity: integer('capacity', capacity ?? capacityOf(pool), 1, 1_000_000),
    ackWaitMs: integer('ackWaitMs', ackWaitMs, 100, MAX_DELAY_MS),
    maxDeliver: integer('maxDeliver', maxDeliver, 1, 1_000_000),
    retryDelayMs: integer('retryDelayMs', retryDelayMs, 0, MAX_DELAY_MS),
    timeoutMs: timeoutMs === undefined ? undefined : integer('timeoutMs', timeoutMs, 1, MAX_DELAY_MS),
  };
  refuseNoDeadline(pool, timeoutMs);
  checkSignal(signal);
  const link = new Link(connection);
  let worker: QueueWorker;
  try {
    worker = new QueueWorker(pool, link, new QueueStreams(link, name, streams), settings);
  } catch (error) {
    link.release();
    if (error instanceof QueueClosedError) return Promise.reject(error);
    throw error;
  }
  const stop = signal === undefined ? undefined : onAbort(signal, () => worker.drain());
  if (signal?.aborted === true) worker.drain();
  return worker.run().finally(() => {
    stop?.();
    link.release();
  });
}

function capacityOf(pool: ServedPool): number {
  return (pool.capacity ?? 1) + 1;
}

function refuseNoDeadline(pool: ServedPool, timeoutMs: number | undefined): void {
  if (timeoutMs !== undefined || !('requestTimeoutMs' in pool)) return;
  if (pool.requestTimeoutMs !== undefined || pool.runTimeoutMs !== undefined) return;
  throw new TypeError(
    `expected \`timeoutMs\`, or \`requestTimeoutMs\` of the pool, to be set, got ${shown(undefined)}: a row that hangs would stop its job`,
  );
}
