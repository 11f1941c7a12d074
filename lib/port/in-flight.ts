/** The requests that one child was given: in the order in which it will answer, or by their ids. */
import { Fifo } from '../fifo';
import type { FrameWriter } from '../framing/frame-writer';
import type { Request } from './request';

/** What a pipe takes at once. */
const BATCH_BYTES = 64 * 1024;
/** How many settled requests may lie among the unwritten, plus once the number that wait. */
const MAX_SETTLED = 64;

/** Requests that were given to the stream and not answered. */
interface Written {
  /** All that the child may still answer. */
  readonly length: number;
  /** Those of them that somebody waits for. */
  readonly live: number;
  readonly first: Request | undefined;
  push(request: Request): void;
  /** Takes out the one that a reply answers. */
  answered(id: number | undefined): Request | undefined;
  /** The one that a message is about. */
  find(id: number): Request | undefined;
  /** One of them was settled from outside. */
  givenUp(request: Request): void;
  takeAll(): Request[];
  toArray(): Request[];
}

/** Answered first come, first served. Those that were given up stay, for their replies come all the same. */
class WrittenInOrder implements Written {
  live = 0;
  readonly #requests = new Fifo<Request>();

  get length(): number {
    return this.#requests.length;
  }

  get first(): Request | undefined {
    return this.#requests.peek();
  }

  push(request: Request): void {
    this.#requests.push(request);
    this.live += 1;
  }

  answered(): Request | undefined {
    const request = this.#requests.shift();
    if (request?.isSettled === false) this.live -= 1;
    return request;
  }

  find(): Request | undefined {
    return undefined;
  }

  givenUp(): void {
    this.live -= 1;
  }

  takeAll(): Request[] {
    this.live = 0;
    return this.#requests.takeAll();
  }

  toArray(): Request[] {
    return this.#requests.toArray();
  }
}

/** Answered in any order. One that is given up is forgotten: its id tells that it was. */
class WrittenById implements Written {
  readonly #requests = new Map<number, Request>();

  get length(): number {
    return this.#requests.size;
  }

  get live(): number {
    return this.#requests.size;
  }

  get first(): Request | undefined {
    for (const request of this.#requests.values()) return request;
    return undefined;
  }

  push(request: Request): void {
    this.#requests.set(request.id ?? 0, request);
  }

  answered(id: number | undefined): Request | undefined {
    const request = this.find(id);
    if (request !== undefined) this.givenUp(request);
    return request;
  }

  find(id: number | undefined): Request | undefined {
    return this.#requests.get(id ?? 0);
  }

  givenUp(request: Request): void {
    this.#requests.delete(request.id ?? 0);
  }

  takeAll(): Request[] {
    const all = this.toArray();
    this.#requests.clear();
    return all;
  }

  toArray(): Request[] {
    return [...this.#requests.values()];
  }
}

export class InFlight {
  /** Given to the stream and not answered. */
  readonly written: Written;
  /** Taken on, but no byte of them was given to the stream: a death of the child does not hurt them. */
  readonly #unwritten = new Fifo<Request>();
  #liveUnwritten = 0;
  /** The sequence number of the next to be written. */
  #nextSequence = 0;
  /** Those from this number on are in the batch that the kernel has not taken whole. */
  #batchFrom = 0;

  constructor(usesIds: boolean) {
    this.written = usesIds ? new WrittenById() : new WrittenInOrder();
  }

  /** All that take room: the written ones, without ids those that were given up too, and the unwritten. */
  get length(): number {
    return this.written.length + this.#liveUnwritten;
  }

  /** Whether the child has a reply to give, wanted or not. */
  get isOwed(): boolean {
    return this.written.length > 0;
  }

  /** Whether somebody waits for one of those replies. */
  get isAwaited(): boolean {
    return this.written.live > 0;
  }

  get hasUnwritten(): boolean {
    return this.#liveUnwritten > 0;
  }

  /** The number that the next request to be written gets. */
  get nextSequence(): number {
    return this.#nextSequence;
  }

  /** A request with a crash on its record runs alone, so it can only be the first. */
  get hasSuspect(): boolean {
    const first = this.written.first ?? this.#firstUnwritten();
    return first !== undefined && first.crashes > 0;
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
  writeBatch(writer: Pick<FrameWriter, 'pendingBytes' | 'write'>, onWritten: (request: Request) => void): void {
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
      if (request.kind === 'send') {
        request.settleWith(undefined);
        continue;
      }
      request.sequence = this.#nextSequence;
      this.#nextSequence += 1;
      this.written.push(request);
      onWritten(request);
    }
  }

  batchTaken(): void {
    this.#batchFrom = this.#nextSequence;
  }

  /** One of them was settled from outside. */
  givenUp(request: Request): void {
    if (this.isWritten(request)) {
      this.written.givenUp(request);
      return;
    }
    this.#liveUnwritten -= 1;
    const isMostlySettled = this.#unwritten.length > 2 * this.#liveUnwritten + MAX_SETTLED;
    if (isMostlySettled) this.#unwritten.keep(({ isSettled }) => !isSettled);
  }

  /** Those that may go to another child; what was asked of this child alone stays. */
  takeUnwritten(): Request[] {
    const [mine, others]: [Request[], Request[]] = [[], []];
    for (const request of this.takeAllUnwritten()) (request.kind === 'of this child' ? mine : others).push(request);
    for (const request of mine) this.push(request);
    return others;
  }

  takeAllUnwritten(): Request[] {
    this.#liveUnwritten = 0;
    return this.#unwritten.takeAll().filter(({ isSettled }) => !isSettled);
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
