/** One request, from its call to its one settlement. */
import type { Message } from '../framing/frame-writer';

export interface RequestOptions {
  /**
   * Rejects the request with an AbortError. A child that was given it and owes no other reply is ended; else its reply
   * is swallowed when it comes, and those that were written behind it wait for that: only a deadline ends such a wait.
   */
  readonly signal?: AbortSignal | undefined;
  /** Rejects it with a TimeoutError so many milliseconds after the call, wherever it is then. Default: the port's. */
  readonly timeoutMs?: number | undefined;
  /** Whether it may be sent again when a child dies with it. Default false. */
  readonly idempotent?: boolean | undefined;
}

/** Who holds the request now: the queue, until a session takes it. */
export interface RequestHolder {
  /** It was settled from outside, by its deadline or its signal, and nobody waits for its reply. */
  abandoned(request: Request, reason: 'timeout' | 'abort'): void;
  /** What it waits for, for the error that says so. */
  phaseOf(request: Request): RequestPhase;
}

export type RequestPhase = 'queue' | 'write' | 'header' | 'body';

/** Counts what becomes of the requests that one lane is given. */
export interface RequestTally {
  settled(request: Request, isFailure: boolean): void;
  /** It goes back to the queue. */
  handedBack(request: Request): void;
}

/** On the clock of `performance.now()`. */
export interface Timing {
  readonly askedAt: number;
  givenAt: number;
  /** For how many requests it stands. */
  readonly weight: number;
}

export interface Settlement {
  readonly resolve: (reply: Buffer) => void;
  readonly reject: (error: Error) => void;
}

export class Request {
  readonly message: Message;
  readonly isIdempotent: boolean;
  /** How many children died by themselves with it, or misbehaved and were ended for that. */
  crashes = 0;
  isSettled = false;
  /** What it was rejected with. */
  error: Error | undefined;
  holder: RequestHolder;
  /** Of the lane that has it; undefined in the queue. */
  tally: RequestTally | undefined;
  /** undefined where it is not timed. */
  timing: Timing | undefined;

  readonly #settlement: Settlement;
  #timer: NodeJS.Timeout | undefined;

  constructor(message: Message, isIdempotent: boolean, holder: RequestHolder, settlement: Settlement) {
    this.message = message;
    this.isIdempotent = isIdempotent;
    this.holder = holder;
    this.#settlement = settlement;
  }

  /** @param error makes what the request is rejected with, `timeoutMs` from now */
  setDeadline(timeoutMs: number, error: (phase: RequestPhase) => Error): void {
    this.#timer = setTimeout(() => this.giveUp('timeout', error(this.holder.phaseOf(this))), timeoutMs).unref();
  }

  /** Rejects it on its caller's account: its reply, should one come, is nobody's. */
  giveUp(reason: 'timeout' | 'abort', error: Error): void {
    if (this.isSettled) return;
    this.reject(error);
    this.holder.abandoned(this, reason);
  }

  resolve(reply: Buffer): void {
    if (this.#settle()) this.#settlement.resolve(reply);
  }

  reject(error: Error): void {
    if (!this.#settle()) return;
    this.error = error;
    this.#settlement.reject(error);
  }

  #settle(): boolean {
    if (this.isSettled) return false;
    this.isSettled = true;
    clearTimeout(this.#timer);
    return true;
  }
}
