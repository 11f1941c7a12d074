import { EventEmitter } from 'node:events';
import { checkSignal } from '../duplex/port-duplex-options';
import { boolean, integer, refuseUnknown, shown } from '../options';
import { Pool, type PoolSettings, type PortState } from './pool';
import type { PortEvents } from './port-events';
import type { RequestOptions } from './request';
import { RequestTransform, type TransformOptions } from './request-transform';
import type { PortStatistics } from './statistics';

/** What a Port and a PortPool have in common, which is all but their construction: calls to children behind one queue. */
export class BasePort<Request, Reply, Event = never> extends EventEmitter<PortEvents<Event>> {
  readonly #pool: Pool;
  /** Options that were found right, and cannot change since. */
  #checked = NO_OPTIONS;

  protected constructor(settings: PoolSettings) {
    super();
    this.#pool = new Pool(settings, ([name, args]) => (this.emit as (...event: unknown[]) => boolean)(name, ...args));
  }

  /** What the port does now; of a pool, its best lane. */
  get state(): PortState {
    return this.#pool.state;
  }

  /** Requests accepted and not yet settled. */
  get pending(): number {
    return this.#pool.pending;
  }

  /** Those of them that no child was given yet. */
  get queued(): number {
    return this.#pool.queued;
  }

  /** How often a child was started in the place of another. */
  get restarts(): number {
    return this.#pool.restarts;
  }

  /** How many requests the children can hold together: their number times `maxInFlight`. More wait in the queue. */
  get capacity(): number {
    return this.#pool.capacity;
  }

  /** The deadline of a request without a `timeoutMs` of its own, in milliseconds from the call; undefined for none. */
  get requestTimeoutMs(): number | undefined {
    return this.#pool.requestTimeoutMs;
  }

  /**
   * The deadline of a request without a `runTimeoutMs` of its own, in milliseconds from the moment when a child was given
   * the request; undefined for none.
   */
  get runTimeoutMs(): number | undefined {
    return this.#pool.runTimeoutMs;
  }

  /** What was done so far, by lane and in total: a plain object, to be logged or charted. */
  statistics(): PortStatistics {
    return this.#pool.statistics();
  }

  /**
   * Sends a message and gives the reply to it. A message of up to 16 KiB may be changed right after the call; a longer
   * one must not be changed before the request is settled. The reply is yours; it may be a view on a larger chunk.
   *
   * Rejects with an ExitError when the child dies with the request (its `behind` tells whether the request may be
   * innocent), TimeoutError, MessageTooLargeError, InvalidMessageError, FrameTruncatedError, BadLengthError, PoisonError
   * (only `idempotent` ones), BrokenError, ClosedError, QueueFullError, AbortError, or with what `encode` or `decode`
   * threw.
   */
  request(message: Request, options: RequestOptions = NO_OPTIONS): Promise<Reply> {
    try {
      if (options !== this.#checked) this.#check(options);
      return this.#pool.request(message, options) as Promise<Reply>;
    } catch (error) {
      // A throw of the caller's hook, whatever it is, or for a wrong option, is a rejection too.
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
      return Promise.reject(error);
    }
  }

  /** What is frozen, and was right once, stays so: a stage asks with the same options for every row. */
  #check(options: RequestOptions): void {
    checkRequestOptions(options);
    if (Object.isFrozen(options)) this.#checked = options;
  }

  /** For `send` of a Port. */
  protected sendToChild(message: Request): Promise<void> {
    try {
      return this.#pool.send(message) as Promise<void>;
    } catch (error) {
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
      return Promise.reject(error);
    }
  }

  /**
   * A stage of a pipeline: message in, reply out, in request order. Once a write is acknowledged its message may be
   * changed, up to 16 KiB.
   */
  transform(options: TransformOptions<Request, Reply> = {}): RequestTransform<Request, Reply> {
    return new RequestTransform(this, this.#pool.capacity, options);
  }

  /**
   * Starts the child of a Port, or `minSize` children of a pool (at least one), before the first request. Resolves when
   * they are up; a child that dies meanwhile is restarted as ever.
   * @returns a promise that rejects with BrokenError when one of them was given up, with ClosedError, or with AbortError
   * where the port's signal has fired
   */
  start(): Promise<void> {
    return this.#pool.start();
  }

  /**
   * Replaces the child without a gap: the next is up before the present one gets no more. Of several, one after another:
   * a child's turn comes when the new one before it has answered or lived `minUptimeMs`. Heals what is broken, ends a
   * wait before a restart, and starts the first child where there is none. No request is lost by it.
   * @param lane of a pool: only the child of that lane, by its number from 0, as `spawn` and `exit` tell it
   * @throws ClosedError; TypeError or RangeError for what is no lane
   */
  restart(lane?: number): void {
    if (lane !== undefined) integer('lane', lane, 0, this.#pool.size - 1);
    this.#pool.restart(lane);
  }

  /** Takes no more requests, finishes the accepted ones, and ends the input of the children. Resolves when they are gone. */
  close(): Promise<void> {
    return this.#pool.close();
  }

  /** Rejects all requests, with `error` itself where there is one, and ends the children. Resolves when they are gone. */
  destroy(error?: Error): Promise<void> {
    return this.#pool.destroy(error);
  }

  /** The same as `close()`: for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

const MAX_DELAY_MS = 2 ** 31 - 1;
const REQUEST_KEYS: readonly string[] = ['signal', 'timeoutMs', 'runTimeoutMs', 'idempotent', 'onProgress'];
const NO_OPTIONS: RequestOptions = Object.freeze({});

function checkRequestOptions(options: RequestOptions): void {
  if (typeof options !== 'object' || (options as unknown) === null) refuseUnknown('request', options, REQUEST_KEYS);
  // The names first, one by one: the whole check takes longer than a small request.
  for (const name in options) {
    if (!REQUEST_KEYS.includes(name)) refuseUnknown('request', options, REQUEST_KEYS);
  }
  const { signal, timeoutMs, runTimeoutMs, idempotent, onProgress } = options;
  checkSignal(signal);
  if (timeoutMs !== undefined) integer('timeoutMs', timeoutMs, 1, MAX_DELAY_MS);
  if (runTimeoutMs !== undefined) integer('runTimeoutMs', runTimeoutMs, 1, MAX_DELAY_MS);
  if (idempotent !== undefined) boolean('idempotent', idempotent);
  if (onProgress !== undefined && typeof onProgress !== 'function') {
    throw new TypeError(`expected \`onProgress\` to be a function, got ${shown(onProgress)}`);
  }
}
