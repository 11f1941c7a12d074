/** One request, from its call to its one settlement. */
import type { TimeoutFacts } from '../errors';
import type { Message } from '../framing/frame-writer';
import { viewOf } from '../framing/framing';
import type { Deadline } from './deadlines';

/** What `request(message, options)` takes. All have a default. */
export interface RequestOptions {
  /**
   * Rejects the request with an AbortError. A child that was given the request and owes no other reply is ended; else
   * the reply is discarded when it comes, and requests written behind it wait for that.
   */
  readonly signal?: AbortSignal | undefined;
  /**
   * Rejects the request with a TimeoutError this many milliseconds after the call, wherever it is then. A child that has
   * answered before and was given the request is replaced, unless `runTimeoutMs` is set. Default: the port's
   * `requestTimeoutMs`.
   */
  readonly timeoutMs?: number | undefined;
  /**
   * How many milliseconds a child may take from the moment it is given the request. After that the request is rejected
   * with a TimeoutError and the child is replaced. A child that has never answered has `startTimeoutMs` of the port first:
   * the time begins with its first reply. Where it is set, a `timeoutMs` that ends earlier gives up like an
   * abort: the late reply is discarded and the child stays. Default: the port's.
   */
  readonly runTimeoutMs?: number | undefined;
  /** Whether the request may be sent again when a child dies with it. Default false. */
  readonly idempotent?: boolean | undefined;
  /**
   * Called with what the protocol calls progress of this request. Each call restarts `runTimeoutMs`. A throw is the
   * caller's own, and uncaught.
   */
  readonly onProgress?: ((value: unknown) => void) | undefined;
}

/** What a request waits for, as the TimeoutError tells it. */
export type Wait = Pick<TimeoutFacts, 'phase' | 'childAgeMs' | 'receivedBytes' | 'expectedBytes' | 'firstBytes'>;

/**
 * Why a request was settled from outside: its signal fired, its `timeoutMs` is over, or its `runTimeoutMs`. In the last
 * case a child hangs.
 */
export type GiveUpReason = 'abort' | 'timeout' | 'run timeout';

/** Where a request is: in the queue, or with a session. */
export interface RequestPlace {
  waitOf(request: Request): Wait;
  /** It was settled from outside, and nobody waits for its reply. */
  givenUp(request: Request, reason: GiveUpReason): void;
  /** After all that were given up for one reason, at one time: now the place may draw its conclusions. */
  reconsider(): void;
}

/** On the clock of `performance.now()`. */
export interface Timing {
  readonly askedAt: number;
  givenAt: number;
  /** For how many requests it stands. */
  readonly weight: number;
}

/** Counts what becomes of the requests that one lane is given. */
export interface RequestCounters {
  settled(request: Request): void;
  /** The request goes back to the queue. */
  handedBack(request: Request): void;
}

/** The pool, as its requests see it. */
export interface RequestOwner {
  readonly decode: ((message: Buffer) => unknown) | undefined;
  /** Called once, before the caller learns of it. */
  settled(request: Request): void;
}

/**
 * Who may have it: any child; any child, and it is not answered; or the one child that it was asked of by a hook.
 */
export type RequestKind = 'request' | 'send' | 'of this child';

/** The sequence number of a request that no child was given. */
export const UNWRITTEN = -1;

/** A message up to this size belongs to the request once it has to wait, and its caller may change it after the call. */
const OWNED_BYTES = 16 * 1024;

export interface RequestFacts {
  readonly kind: RequestKind;
  readonly message: Message;
  readonly id: number | undefined;
  readonly runTimeoutMs: number | undefined;
  readonly place: RequestPlace;
}

type Resolve = (reply: unknown) => void;
type Reject = (error: unknown) => void;

// A promise's functions reach the constructor by these two: a closure for each request would cost more than all else here.
let resolveOfNew: Resolve;
let rejectOfNew: Reject;
function capture(resolve: Resolve, reject: Reject): void {
  resolveOfNew = resolve;
  rejectOfNew = reject;
}

export class Request {
  readonly promise: Promise<unknown>;
  readonly kind: RequestKind;
  message: Message;
  /** What its protocol calls it by, where that has ids. */
  readonly id: number | undefined;
  readonly onProgress: ((value: unknown) => void) | undefined;
  readonly isIdempotent: boolean;
  /** How many children died by themselves with the request, or misbehaved and were ended for that. */
  crashes = 0;
  state: 'pending' | 'resolved' | 'rejected' = 'pending';
  /** What it was rejected with. */
  error: Error | undefined;
  place: RequestPlace;
  /** Its number among all that its session has written. */
  sequence = UNWRITTEN;
  readonly signal: AbortSignal | undefined;
  readonly runTimeoutMs: number | undefined;
  deadline: Deadline<Request> | undefined;
  runDeadline: Deadline<Request> | undefined;
  /** Of the lane that has it; undefined in the queue. */
  counters: RequestCounters | undefined;
  /** undefined where the request is not timed. */
  timing: Timing | undefined;

  readonly #owner: RequestOwner;
  readonly #resolve: Resolve;
  readonly #reject: Reject;

  constructor(facts: RequestFacts, { signal, idempotent = false, onProgress }: RequestOptions, owner: RequestOwner) {
    const { kind, message, id, runTimeoutMs, place } = facts;
    this.kind = kind;
    this.message = message;
    this.id = id;
    this.onProgress = onProgress;
    this.isIdempotent = idempotent;
    this.signal = signal;
    this.runTimeoutMs = runTimeoutMs;
    this.place = place;
    this.#owner = owner;
    this.promise = new Promise(capture);
    this.#resolve = resolveOfNew;
    this.#reject = rejectOfNew;
  }

  /** Has the message outlive the call, where it is needed later. */
  own(): void {
    const { message } = this;
    if (typeof message === 'string' || message.byteLength > OWNED_BYTES) return;
    if (this.isSettled || (this.sequence !== UNWRITTEN && !this.isIdempotent)) return;
    const bytes = message instanceof Uint8Array ? message : viewOf(message);
    this.message = Buffer.from(bytes);
  }

  get isSettled(): boolean {
    return this.state !== 'pending';
  }

  /** @param message becomes the caller's, through `decode` where there is one: user code, which may call anything */
  resolve(message: Buffer): void {
    if (this.isSettled) return;
    const { decode } = this.#owner;
    if (decode === undefined) {
      this.settleWith(message);
      return;
    }
    this.state = 'resolved';
    try {
      const reply = decode(message);
      this.#owner.settled(this);
      this.#resolve(reply);
    } catch (error) {
      this.state = 'rejected';
      this.#owner.settled(this);
      this.#reject(error);
    }
  }

  /** With a reply that its protocol has decoded. */
  settleWith(reply: unknown): void {
    if (this.isSettled) return;
    this.state = 'resolved';
    this.#owner.settled(this);
    this.#resolve(reply);
  }

  reject(error: Error): void {
    if (this.isSettled) return;
    this.state = 'rejected';
    this.error = error;
    this.#owner.settled(this);
    this.#reject(error);
  }

  /** Rejects the request on its caller's account: a reply, should one come, is nobody's. */
  giveUp(reason: GiveUpReason, error: Error): void {
    if (this.isSettled) return;
    this.reject(error);
    this.place.givenUp(this, reason);
  }
}
