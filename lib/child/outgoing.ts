/** Replies to a stream: those of one tick leave together, one batch after the other. */
import type { Writable } from 'node:stream';
import type { FrameFormat } from '../framing/format';
import { FrameWriter, type Message } from '../framing/frame-writer';

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
  readonly #outlet: Outlet;
  readonly #writer: FrameWriter;
  readonly #events: OutgoingEvents;
  #isFlushDue = false;
  #isBatchOut = false;
  /** Nobody is at the other end. */
  isClosed = false;

  constructor(outlet: Outlet, format: FrameFormat, events: OutgoingEvents) {
    this.#outlet = outlet;
    this.#writer = new FrameWriter(format);
    this.#events = events;
    const { output } = outlet;
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
    return !this.#isFlushDue && !this.#isBatchOut;
  }

  /** @throws as FrameWriter does */
  write(reply: Message): void {
    if (this.isClosed) return;
    this.#writer.write(reply);
    if (this.#isFlushDue || this.#isBatchOut) return;
    this.#isFlushDue = true;
    process.nextTick(() => {
      this.#isFlushDue = false;
      this.#flush();
    });
  }

  /** Nobody is at the other end: what is written from now on is dropped. */
  close(): void {
    this.isClosed = true;
    this.#writer.take();
  }

  #flush(): void {
    const chunks = this.#writer.take();
    const last = chunks.pop();
    if (last === undefined) {
      this.#events.taken();
      return;
    }
    this.#isBatchOut = true;
    const { output, write } = this.#outlet;
    // Corked, the pieces of a batch leave in one system call.
    try {
      output.cork();
      for (const chunk of chunks) write(chunk, () => undefined);
      write(last, (error) => {
        this.#isBatchOut = false;
        if (error) this.#events.failed(error);
        this.#flush();
      });
      output.uncork();
    } catch (error) {
      // A stream of the user's may throw; nothing that it calls back later can be relied on then.
      this.close();
      output.destroy();
      this.#isBatchOut = false;
      this.#events.failed(error as Error);
    }
  }
}
