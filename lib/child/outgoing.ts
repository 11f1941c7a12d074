/** Messages to a stream: those of one tick leave together, one batch after the other. */
import type { Writable } from 'node:stream';
import { BatchSender, type BatchSink } from '../batch-sender';
import type { FramingWriter, Message } from '../framing/framing';

/** `write` of a Writable, with a callback for its outcome. */
export type Write = (chunk: Buffer, callback: (error?: Error | null) => void) => boolean;

/** A stream, and what writes to it. */
export interface Outlet {
  readonly output: Writable;
  readonly write: Write;
}

export interface OutgoingEvents {
  /** The system has taken a batch. */
  readonly taken: () => void;
  /** The stream was closed. */
  readonly closed: () => void;
  readonly failed: (error: Error) => void;
}

export class Outgoing {
  /** Nobody is at the other end. */
  isClosed = false;

  readonly #writer: FramingWriter;
  readonly #sender: BatchSender;
  /** Called when the batch that is made up next, or that is on its way, has left or never will. */
  #next: (() => void)[] = [];
  #leaving: (() => void)[] = [];

  constructor({ output, write }: Outlet, writer: FramingWriter, events: OutgoingEvents) {
    this.#writer = writer;
    const guarded: BatchSink['write'] = (chunk, callback = () => undefined) => {
      try {
        return write(chunk, callback);
      } catch (error) {
        // A stream of the user's may throw; nothing that it calls back later can be relied on then.
        this.close();
        output.destroy();
        process.nextTick(callback, error);
        return false;
      }
    };
    const sink = { cork: () => output.cork(), uncork: () => output.uncork(), write: guarded };
    this.#sender = new BatchSender(sink, {
      nextBatch: () => {
        this.#leaving = this.#next;
        this.#next = [];
        const chunks = writer.take();
        if (chunks.length === 0) {
          // No write will tell.
          this.#hasLeft();
          events.taken();
        }
        return chunks;
      },
      batchTaken: (error) => {
        this.#hasLeft();
        if (error) events.failed(error);
        else events.taken();
      },
    });
    output.on('error', events.failed);
    output.on('close', () => {
      if (output.destroyed) events.closed();
    });
  }

  /** Bytes behind the batch that is on its way. */
  get waitingBytes(): number {
    return this.#writer.pendingBytes;
  }

  /** All that was written is with the system, or with nobody. */
  get isIdle(): boolean {
    return this.#sender.isIdle && this.#writer.pendingBytes === 0;
  }

  /**
   * @param left called once the message is with the system, or with nobody
   * @throws what the framing's writer throws: MessageTooLargeError, InvalidMessageError
   */
  write(message: Message, left?: () => void): void {
    if (this.isClosed) {
      left?.();
      return;
    }
    this.#writer.write(message);
    if (left !== undefined) this.#next.push(left);
    this.#sender.schedule();
  }

  /** Nobody is at the other end: what is written from now on is dropped. */
  close(): void {
    this.isClosed = true;
    this.#writer.take();
    this.#hasLeft();
    this.#leaving = this.#next;
    this.#next = [];
    this.#hasLeft();
  }

  #hasLeft(): void {
    const left = this.#leaving;
    this.#leaving = [];
    for (const call of left) call();
  }
}
