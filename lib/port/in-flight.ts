/** The requests that one child was given, in the order in which it will answer. */
import type { FrameWriter } from '../framing/frame-writer';
import type { Request } from './request';

/** What a pipe takes at once. */
const BATCH_BYTES = 64 * 1024;

export class InFlight {
  /** Taken on, but no byte of them was given to the stream: a death of the child does not hurt them. */
  #unwritten: Request[] = [];
  /** Given to the stream and not answered; among them the abandoned, whose replies are swallowed. */
  #written: Request[] = [];
  /** How many of the written, the last ones, are in the batch that the kernel has not taken whole. */
  #batchLength = 0;

  get length(): number {
    return this.#written.length + this.#unwritten.length;
  }

  /** Whether the child has a reply to give, wanted or not. */
  get isOwed(): boolean {
    return this.#written.length > 0;
  }

  get isBatchOut(): boolean {
    return this.#batchLength > 0;
  }

  /** One on whose record a crash is runs alone, so it can only be the first. */
  get hasSuspect(): boolean {
    const first = this.#written[0] ?? this.#unwritten[0];
    return first !== undefined && first.crashes > 0;
  }

  get written(): Request[] {
    return live(this.#written);
  }

  get unwritten(): Request[] {
    return live(this.#unwritten);
  }

  push(request: Request): void {
    this.#unwritten.push(request);
  }

  /**
   * Makes a batch of the unwritten ones, as many as a pipe takes at once: what is behind them is not hurt by a death
   * meanwhile. One that cannot be framed is rejected, and hurts nobody else.
   */
  writeBatch(writer: FrameWriter): Buffer[] {
    const { unwritten } = this;
    let taken = 0;
    for (const request of unwritten) {
      if (writer.pendingBytes >= BATCH_BYTES) break;
      taken += 1;
      try {
        writer.write(request.message);
        this.#written.push(request);
        this.#batchLength += 1;
      } catch (error) {
        request.reject(error as Error);
      }
    }
    this.#unwritten = unwritten.slice(taken);
    return writer.take();
  }

  batchTaken(): void {
    this.#batchLength = 0;
  }

  /** The one that the next reply answers. */
  shift(): Request | undefined {
    const request = this.#written.shift();
    this.#batchLength = Math.min(this.#batchLength, this.#written.length);
    return request;
  }

  takeUnwritten(): Request[] {
    const { unwritten } = this;
    this.#unwritten = [];
    return unwritten;
  }

  /** @returns whether the child has been given the request, and so may answer it */
  isWritten(request: Request): boolean {
    return this.#written.includes(request);
  }

  /** Where a written one stands: in the batch that goes out, or before its reply; and whether it is the first to be answered. */
  placeOf(request: Request): { readonly isGoingOut: boolean; readonly isFirst: boolean } {
    const index = this.#written.indexOf(request);
    return { isGoingOut: index >= this.#written.length - this.#batchLength, isFirst: index === 0 };
  }

  clear(): void {
    this.#written = [];
    this.#unwritten = [];
  }
}

function live(requests: readonly Request[]): Request[] {
  return requests.filter((request) => !request.isSettled);
}
