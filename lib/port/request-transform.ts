/** A stage of a pipeline over anything that answers requests. */
import { RexPortError } from '../errors';
import { boolean, integer, refuseUnknown, shown } from '../options';
import { Duplex } from '../streams';
import type { RequestOptions } from './request';

/** What a transform asks: a Port, a PortPool, or your own. */
export interface Requester<Request, Reply> {
  request(message: Request, options?: RequestOptions): Promise<Reply>;
}

export interface TransformOptions<Request, Reply> {
  /** How many requests are in flight. Default: what the children can hold together. */
  readonly concurrency?: number | undefined;
  /** Whether replies come in the order of their requests. Default true. */
  readonly ordered?: boolean | undefined;
  /**
   * Takes a message that failed by its own fault (the child died of it or was too slow, it was too large, `encode` or
   * `decode` threw), and gives what goes on in its place, or undefined for nothing. Without it, or if it throws, the
   * failure destroys the stage. A port that is broken or closed always does.
   */
  readonly onError?: ((error: Error, message: Request) => Reply | undefined | Promise<Reply | undefined>) | undefined;
  /** As for a single request. */
  readonly idempotent?: boolean | undefined;
  /** As for a single request. */
  readonly timeoutMs?: number | undefined;
}

type Callback = (error?: Error | null) => void;

interface Slot {
  isDone: boolean;
  /** What is handed on; none where the message was dropped. */
  reply?: unknown;
}

/** So many replies per request in flight may wait for an earlier one: with fewer, one slow row holds all others up. */
const WINDOW = 16;
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
  /** Messages whose place in the order is not reached yet. */
  #slots: Slot[] = [];
  /** Replies that wait for the reader. */
  #ready: Slot[] = [];
  #isWanted = false;
  #heldWrite: Callback | undefined;
  #heldFinal: Callback | undefined;

  /** @throws TypeError or RangeError for a wrong option */
  constructor(requester: Requester<Request, Reply>, capacity: number, options: TransformOptions<Request, Reply>) {
    refuseUnknown('transform', options, KEYS);
    super({ objectMode: true });
    const { concurrency, ordered = true, onError, idempotent, timeoutMs } = options;
    if (onError !== undefined && typeof onError !== 'function') {
      throw new TypeError(`expected \`onError\` to be a function, got ${shown(onError)}`);
    }
    this.#requester = requester;
    this.#onError = onError;
    this.#concurrency = integer('concurrency', concurrency ?? capacity, 1, Number.MAX_SAFE_INTEGER);
    this.#isOrdered = boolean('ordered', ordered);
    this.#requestOptions = { idempotent, timeoutMs, signal: this.#abort.signal };
  }

  override _write(message: Request, _encoding: BufferEncoding, callback: Callback): void {
    const slot: Slot = { isDone: false };
    this.#slots.push(slot);
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

  get #hasRoom(): boolean {
    const waiting = this.#slots.length + this.#ready.length;
    return this.#inFlight < this.#concurrency && waiting < this.#concurrency * WINDOW;
  }

  async #ask(message: Request, slot: Slot): Promise<void> {
    try {
      slot.reply = await this.#answer(message);
      this.#done(slot);
    } catch (error) {
      this.destroy(error as Error);
    }
  }

  /** @returns undefined for a message that is dropped */
  async #answer(message: Request): Promise<Reply | undefined> {
    try {
      const reply = await this.#requester.request(message, this.#requestOptions);
      if ((reply as unknown) !== null && reply !== undefined) return reply;
    } catch (error) {
      if (this.#onError === undefined || this.destroyed || isFatal(error)) throw error;
      return await this.#onError(error as Error, message);
    }
    // It would end the stream in silence.
    throw new TypeError('expected `decode` to give a reply, got null or undefined');
  }

  #done(slot: Slot): void {
    this.#inFlight -= 1;
    slot.isDone = true;
    if (this.#isOrdered) {
      const first = this.#slots.findIndex((other) => !other.isDone);
      this.#ready.push(...this.#slots.splice(0, first === -1 ? this.#slots.length : first));
    } else {
      this.#slots.splice(this.#slots.indexOf(slot), 1);
      this.#ready.push(slot);
    }
    this.#handOn();
  }

  #handOn(): void {
    while (this.#isWanted && this.#ready.length > 0) {
      const reply = this.#ready.shift()?.reply;
      if (reply !== undefined) this.#isWanted = this.push(reply);
    }
    if (this.#hasRoom) {
      const held = this.#heldWrite;
      this.#heldWrite = undefined;
      held?.();
    }
    if (this.#heldFinal === undefined || this.#slots.length + this.#ready.length > 0) return;
    this.push(null);
    this.#heldFinal();
    this.#heldFinal = undefined;
  }
}

function isFatal(error: unknown): boolean {
  return error instanceof RexPortError && FATAL_CODES.includes(error.code);
}
