/** The requests that one child was given, in the order in which it will answer. */
import { Fifo } from '../fifo';
import type { FrameWriter } from '../framing/frame-writer';
import type { Request } from './request';

/** What a pipe takes at once. */
const BATCH_BYTES = 64 * 1024;
/** How many settled requests may lie among the unwritten, plus once the number that wait. */
const MAX_SETTLED = 64;

export class InFlight {
  /** Taken on, but no byte of them was given to the stream: a death of the child does not hurt them. */
  readonly #unwritten = new Fifo<Request>();
  /** Given to the stream and not answered; among them those that were given up, whose replies are discarded. */
  readonly #written = new Fifo<Request>();
  /** How many of each are not settled. */
  #liveUnwritten = 0;
  #liveWritten = 0;
  /** The sequence number of the next to be written. */
  #nextSequence = 0;
  /** Those from this number on are in the batch that the kernel has not taken whole. */
  #batchFrom = 0;

  /** All that take room: the written ones, those that were given up too, and the unwritten. */
  get length(): number {
    return this.#written.length + this.#liveUnwritten;
  }

  /** Whether the child has a reply to give, wanted or not. */
  get isOwed(): boolean {
    return this.#written.length > 0;
  }

  /** Whether somebody waits for one of those replies. */
  get isAwaited(): boolean {
    return this.#liveWritten > 0;
  }

  get hasUnwritten(): boolean {
    return this.#liveUnwritten > 0;
  }

  /** The one that the next reply answers. */
  get first(): Request | undefined {
    return this.#written.peek();
  }

  /** A request with a crash on its record runs alone, so it can only be the first. */
  get hasSuspect(): boolean {
    const first = this.#written.peek() ?? this.#firstUnwritten();
    return first !== undefined && first.crashes > 0;
  }

  /** All that are written, the settled ones too. */
  get written(): Request[] {
    return this.#written.toArray();
  }

  push(request: Request): void {
    this.#unwritten.push(request);
    this.#liveUnwritten += 1;
  }

  /**
   * Makes a batch of the unwritten ones, as many as a pipe takes at once: what is behind them is not hurt by a death
   * meanwhile. One that cannot be framed is rejected, and hurts nobody else.
   * @param onWritten called for each that is in the batch
   */
  writeBatch(writer: FrameWriter, onWritten: (request: Request) => void): Buffer[] {
    this.#batchFrom = this.#nextSequence;
    while (writer.pendingBytes < BATCH_BYTES) {
      const request = this.#firstUnwritten();
      if (request === undefined) break;
      this.#unwritten.shift();
      this.#liveUnwritten -= 1;
      try {
        writer.write(request.message);
      } catch (error) {
        request.reject(error as Error);
        continue;
      }
      request.sequence = this.#nextSequence;
      this.#nextSequence += 1;
      this.#written.push(request);
      this.#liveWritten += 1;
      onWritten(request);
    }
    return writer.take();
  }

  batchTaken(): void {
    this.#batchFrom = this.#nextSequence;
  }

  /** Takes the one that the reply answers, to be settled with it. */
  shift(): Request | undefined {
    const request = this.#written.shift();
    if (request?.isSettled === false) this.#liveWritten -= 1;
    return request;
  }

  /** One of them was settled from outside. */
  givenUp(request: Request): void {
    if (this.isWritten(request)) {
      this.#liveWritten -= 1;
      return;
    }
    this.#liveUnwritten -= 1;
    const isMostlySettled = this.#unwritten.length > 2 * this.#liveUnwritten + MAX_SETTLED;
    if (isMostlySettled) this.#unwritten.keep(({ isSettled }) => !isSettled);
  }

  takeUnwritten(): Request[] {
    this.#liveUnwritten = 0;
    return this.#unwritten.takeAll().filter(({ isSettled }) => !isSettled);
  }

  takeWritten(): Request[] {
    this.#liveWritten = 0;
    return this.#written.takeAll();
  }

  /** Whether the child has been given the request, and so may answer it. */
  isWritten(request: Request): boolean {
    return request.sequence >= 0;
  }

  /** Whether it is in the batch that is on its way. */
  isGoingOut(request: Request): boolean {
    return request.sequence >= this.#batchFrom;
  }

  #firstUnwritten(): Request | undefined {
    let first = this.#unwritten.peek();
    while (first?.isSettled) {
      this.#unwritten.shift();
      first = this.#unwritten.peek();
    }
    return first;
  }
}
