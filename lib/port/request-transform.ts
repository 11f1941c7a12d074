/** A stage of a pipeline over anything that answers requests. */
import { AbortError, RexPortError } from '../errors';
import { InOrder, type Slot } from '../in-order';
import { boolean, integer, refuseUnknown, shown } from '../options';
import type { DuplexOf } from '../stream-types';
import { Duplex } from '../streams';
import type { RequestOptions } from './request';

/** What a transform asks: a Port, a PortPool, or your own. */
export interface Requester<Request, Reply> {
  request(message: Request, options?: RequestOptions): Promise<Reply>;
  /** What it is rejected with while this is `closing` or `closed` may be meant for all requests. */
  readonly state?: string;
}

/** What `transform(options)` of a Port and a PortPool takes. All have a default. */
export interface TransformOptions<Request, Reply> {
  /** How many requests are in flight. Default: what the children can hold together. */
  readonly concurrency?: number | undefined;
  /** Whether replies come in the order of their requests. Default true. */
  readonly ordered?: boolean | undefined;
  /**
   * Takes a message that failed by its own fault (the child died of it or was too slow, it was too large, `encode` or
   * `decode` threw, the reply was null or undefined), and gives what goes on in its place, or undefined for nothing.
   * Without it, or if it throws, the failure destroys the stage. A port that is broken or closed always does.
   *
   * With several requests in flight a child may die of one and take innocent ones along: these have an ExitError whose
   * `behind` is above 0. With `idempotent: true` exactly the guilty ones come here, as PoisonError.
   */
  readonly onError?: ((error: Error, message: Request) => Reply | undefined | Promise<Reply | undefined>) | undefined;
  /** As for a single request. */
  readonly idempotent?: boolean | undefined;
  /** As for a single request. */
  readonly timeoutMs?: number | undefined;
  /** As for a single request. */
  readonly runTimeoutMs?: number | undefined;
}

type Callback = (error?: Error | null) => void;

const MAX_DELAY_MS = 2 ** 31 - 1;
const KEYS = ['concurrency', 'ordered', 'onError', 'idempotent', 'timeoutMs', 'runTimeoutMs'] as const;
/** Failures of the port, not of one message. */
const FATAL_CODES: readonly unknown[] = ['ERR_REXPORT_BROKEN', 'ERR_REXPORT_CLOSED', 'ERR_REXPORT_QUEUE_FULL'];

/** What a class can extend with its own types for both sides. */
const TypedDuplex = Duplex as new <Written, Chunk>(options: { objectMode: true }) => DuplexOf<Written, Chunk>;

/**
 * Messages in, replies out, back-pressure both ways. Destroyed, it aborts its requests. What is written is a Request; what
 * is read, by whichever way, is a Reply.
 */
export class RequestTransform<Request, Reply> extends TypedDuplex<Request, Reply> {
  readonly #requester: Requester<Request, Reply>;
  readonly #onError: TransformOptions<Request, Reply>['onError'];
  readonly #abort = new AbortController();
  readonly #requestOptions: RequestOptions;
  /** The replies, undefined for a message that is dropped. */
  readonly #replies: InOrder<Reply | undefined>;
  #isWanted = false;
  #isHandingOn = false;
  #held: { readonly message: unknown; readonly callback: Callback } | undefined;
  #heldFinal: Callback | undefined;

  /** @throws TypeError or RangeError for a wrong option */
  constructor(requester: Requester<Request, Reply>, capacity: number, options: TransformOptions<Request, Reply>) {
    refuseUnknown('transform', options, KEYS);
    super({ objectMode: true });
    const { concurrency, ordered = true, onError, idempotent = false, timeoutMs, runTimeoutMs } = options;
    if (onError !== undefined && typeof onError !== 'function') {
      throw new TypeError(`expected \`onError\` to be a function, got ${shown(onError)}`);
    }
    this.#requester = requester;
    this.#onError = onError;
    const limit = integer('concurrency', concurrency ?? capacity, 1, Number.MAX_SAFE_INTEGER);
    this.#replies = new InOrder(limit, boolean('ordered', ordered));
    if (timeoutMs !== undefined) integer('timeoutMs', timeoutMs, 1, MAX_DELAY_MS);
    if (runTimeoutMs !== undefined) integer('runTimeoutMs', runTimeoutMs, 1, MAX_DELAY_MS);
    const { signal } = this.#abort;
    boolean('idempotent', idempotent);
    this.#requestOptions = Object.freeze({ idempotent, timeoutMs, runTimeoutMs, signal });
  }

  /** A message that waits is not asked yet: replies that come together have as many requests leave together. */
  override _write(message: Request, _encoding: BufferEncoding, callback: Callback): void {
    if (this.#replies.hasRoom) this.#ask(message, callback);
    else this.#held = { message, callback };
  }

  override _final(callback: Callback): void {
    this.#heldFinal = callback;
    this.#handOn();
  }

  override _read(): void {
    this.#isWanted = true;
    this.#handOn();
  }

  override _destroy(error: Error | null, callback: Callback): void {
    this.#abort.abort(error ?? undefined);
    this.#replies.clear();
    const held = this.#held;
    this.#held = undefined;
    held?.callback(error ?? new AbortError(this.#abort.signal));
    callback(error);
  }

  #ask(message: Request, callback: Callback): void {
    const slot = this.#replies.begin();
    let asked: Promise<Reply>;
    try {
      asked = this.#requester.request(message, this.#requestOptions);
    } catch (error) {
      // A Port's does not throw, but one of the user's own may.
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
      asked = Promise.reject(error);
    }
    asked.then(
      (reply) => this.#answered(slot, reply, message),
      (error: unknown) => this.#failed(slot, error, message),
    );
    callback();
  }

  #answered(slot: Slot<Reply | undefined>, reply: Reply, message: Request): void {
    if (isNothing(reply)) {
      const error = new TypeError(`expected a reply that is neither null nor undefined, got ${shown(reply)}`);
      this.#failed(slot, error, message);
    } else this.#end(slot, reply);
  }

  #failed(slot: Slot<Reply | undefined>, error: unknown, message: Request): void {
    const onError = this.#onError;
    if (onError === undefined || this.destroyed || this.#isFatal(error)) {
      this.destroy(error as Error);
      return;
    }
    // In a promise, for `onError` may throw as well as reject.
    new Promise<Reply | undefined>((resolve) => resolve(onError(error as Error, message))).then(
      (replacement) => {
        if (replacement === undefined || !isNothing(replacement)) this.#end(slot, replacement);
        else this.destroy(new TypeError('expected `onError` to give a reply or undefined, got null', { cause: error }));
      },
      (thrown: unknown) => this.destroy(thrown as Error),
    );
  }

  /** Whether it is no failure of one message. A port is destroyed with whatever its owner likes. */
  #isFatal(error: unknown): boolean {
    if (error instanceof AbortError) return true;
    if (error instanceof RexPortError) return FATAL_CODES.includes(error.code);
    return this.#requester.state === 'closing' || this.#requester.state === 'closed';
  }

  #end(slot: Slot<Reply | undefined>, reply: Reply | undefined): void {
    if (this.destroyed) return;
    this.#replies.end(slot, reply);
    this.#handOn();
  }

  /** Not inside itself: a reader that is given a reply may ask for the next, and a writer may write. */
  #handOn(): void {
    if (this.#isHandingOn) return;
    this.#isHandingOn = true;
    try {
      this.#pushReady();
    } finally {
      this.#isHandingOn = false;
    }
    if (this.#held !== undefined && this.#replies.hasRoom) {
      const { message, callback } = this.#held as { message: Request; callback: Callback };
      this.#held = undefined;
      this.#ask(message, callback);
    }
    if (this.#heldFinal === undefined || !this.#replies.isEmpty) return;
    const final = this.#heldFinal;
    this.#heldFinal = undefined;
    this.push(null);
    final();
  }

  #pushReady(): void {
    for (let slot = this.#replies.peek(); slot !== undefined; slot = this.#replies.peek()) {
      const { result } = slot;
      // What was dropped needs no reader.
      if (result !== undefined && !this.#isWanted) return;
      this.#replies.shift();
      if (result === undefined) continue;
      this.#isWanted = false;
      if (this.push(result)) this.#isWanted = true;
    }
  }
}

/** It would end a stream in silence. */
function isNothing(reply: unknown): boolean {
  return reply === null || reply === undefined;
}
