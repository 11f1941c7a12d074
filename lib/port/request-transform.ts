/** A stage of a pipeline over anything that answers requests. */
import { AbortError, RexPortError } from '../errors';
import { boolean, integer, refuseUnknown, shown } from '../options';
import { Duplex } from '../streams';
import type { RequestOptions } from './request';

/** What a transform asks: a Port, a PortPool, or your own. */
export interface Requester<Request, Reply> {
  request(message: Request, options?: RequestOptions): Promise<Reply>;
  /** What it is rejected with while this is `closing` or `closed` may be meant for all requests. */
  readonly state?: string;
}

export interface TransformOptions<Request, Reply> {
  /** How many requests are in flight. Default: what the children can hold together. */
  readonly concurrency?: number | undefined;
  /** Whether replies come in the order of their requests. Default true. */
  readonly ordered?: boolean | undefined;
  /**
   * Takes a message that failed by its own fault (the child died of it or was too slow, it was too large, `encode` or
   * `decode` threw, the reply was null or undefined), and gives what goes on in its place, or undefined for nothing.
   * Without it, or if it throws, the failure destroys the stage. A port that is broken or closed always does.
   */
  readonly onError?: ((error: Error, message: Request) => Reply | undefined | Promise<Reply | undefined>) | undefined;
  /** As for a single request. */
  readonly idempotent?: boolean | undefined;
  /** As for a single request. */
  readonly timeoutMs?: number | undefined;
}

type Callback = (error?: Error | null) => void;

/** A message's place in what is handed on. */
interface Slot {
  isDone: boolean;
  /** None where the message was dropped. */
  reply?: unknown;
}

/** So many replies per request in flight may wait for an earlier one: with fewer, one slow row holds all others up. */
const WINDOW = 16;
const MAX_DELAY_MS = 2 ** 31 - 1;
const KEYS = ['concurrency', 'ordered', 'onError', 'idempotent', 'timeoutMs'] as const;
/** Failures of the port, not of one message. */
const FATAL_CODES: readonly unknown[] = ['ERR_REXPORT_BROKEN', 'ERR_REXPORT_CLOSED', 'ERR_REXPORT_QUEUE_FULL'];

/** Messages in, replies out, back-pressure both ways. Destroyed, it aborts its requests. */
export class RequestTransform<Request, Reply> extends Duplex {
  readonly #requester: Requester<Request, Reply>;
  readonly #onError: TransformOptions<Request, Reply>['onError'];
  readonly #concurrency: number;
  readonly #isOrdered: boolean;
  readonly #abort = new AbortController();
  readonly #requestOptions: RequestOptions;
  #inFlight = 0;
  /** In the order in which they are handed on, from `#first`; unordered, those that are done. */
  #slots: Slot[] = [];
  #first = 0;
  #isWanted = false;
  #heldWrite: Callback | undefined;
  #heldFinal: Callback | undefined;

  /** @throws TypeError or RangeError for a wrong option */
  constructor(requester: Requester<Request, Reply>, capacity: number, options: TransformOptions<Request, Reply>) {
    refuseUnknown('transform', options, KEYS);
    super({ objectMode: true });
    const { concurrency, ordered = true, onError, idempotent = false, timeoutMs } = options;
    if (onError !== undefined && typeof onError !== 'function') {
      throw new TypeError(`expected \`onError\` to be a function, got ${shown(onError)}`);
    }
    this.#requester = requester;
    this.#onError = onError;
    this.#concurrency = integer('concurrency', concurrency ?? capacity, 1, Number.MAX_SAFE_INTEGER);
    this.#isOrdered = boolean('ordered', ordered);
    if (timeoutMs !== undefined) integer('timeoutMs', timeoutMs, 1, MAX_DELAY_MS);
    this.#requestOptions = { idempotent: boolean('idempotent', idempotent), timeoutMs, signal: this.#abort.signal };
  }

  override _write(message: Request, _encoding: BufferEncoding, callback: Callback): void {
    const slot: Slot = { isDone: false };
    if (this.#isOrdered) this.#slots.push(slot);
    this.#inFlight += 1;
    void this.#ask(message, slot);
    if (this.#hasRoom) callback();
    else this.#heldWrite = callback;
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
    this.#heldWrite?.(error);
    this.#heldWrite = undefined;
    callback(error);
  }

  get #waiting(): number {
    return this.#slots.length - this.#first;
  }

  get #hasRoom(): boolean {
    return this.#inFlight < this.#concurrency && this.#waiting < this.#concurrency * WINDOW;
  }

  async #ask(message: Request, slot: Slot): Promise<void> {
    try {
      slot.reply = await this.#answer(message);
    } catch (error) {
      this.destroy(error as Error);
      return;
    }
    slot.isDone = true;
    if (!this.#isOrdered) this.#slots.push(slot);
    this.#inFlight -= 1;
    this.#handOn();
  }

  /** @returns undefined for a message that is dropped */
  async #answer(message: Request): Promise<Reply | undefined> {
    try {
      const reply = await this.#requester.request(message, this.#requestOptions);
      if (!isNothing(reply)) return reply;
      throw new TypeError(`expected a reply that is neither null nor undefined, got ${shown(reply)}`);
    } catch (error) {
      if (this.#onError === undefined || this.destroyed || this.#isFatal(error)) throw error;
      const replacement = await this.#onError(error as Error, message);
      if (replacement !== undefined && isNothing(replacement)) {
        throw new TypeError('expected `onError` to give a reply or undefined, got null', { cause: error });
      }
      return replacement;
    }
  }

  /** Whether it is no failure of one message. A port is destroyed with whatever its owner likes. */
  #isFatal(error: unknown): boolean {
    if (error instanceof AbortError) return true;
    if (error instanceof RexPortError) return FATAL_CODES.includes(error.code);
    return this.#requester.state === 'closing' || this.#requester.state === 'closed';
  }

  #handOn(): void {
    this.#pushReady();
    if (this.#hasRoom) {
      const held = this.#heldWrite;
      this.#heldWrite = undefined;
      held?.();
    }
    if (this.#heldFinal === undefined || this.#inFlight + this.#waiting > 0) return;
    this.push(null);
    this.#heldFinal();
    this.#heldFinal = undefined;
  }

  #pushReady(): void {
    for (let slot = this.#slots[this.#first]; slot?.isDone; slot = this.#slots[this.#first]) {
      // What was dropped needs no reader.
      if (slot.reply !== undefined && !this.#isWanted) break;
      this.#first += 1;
      if (slot.reply !== undefined) this.#isWanted = this.push(slot.reply);
    }
    // What was passed is let go in large steps: a shift of a long array copies it.
    if (this.#first >= 1024 || this.#first === this.#slots.length) {
      this.#slots = this.#slots.slice(this.#first);
      this.#first = 0;
    }
  }
}

/** It would end a stream in silence. */
function isNothing(reply: unknown): boolean {
  return reply === null || reply === undefined;
}
