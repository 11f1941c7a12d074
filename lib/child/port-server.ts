/** The engine of servePort, which knows streams and nothing of processes. */
import type { Readable, Writable } from 'node:stream';
import { isBrokenPipe } from '../broken-pipe';
import type { FrameFormat } from '../framing/format';
import type { Message } from '../framing/frame-writer';
import { InvalidMessageError, MessageTooLargeError } from '../framing/framing-errors';
import { Incoming } from './incoming';
import { Outgoing, type Outlet } from './outgoing';

/** Makes the reply to a message. */
export type MessageHandler = (message: Buffer) => Message | PromiseLike<Message>;

export interface ServerSettings {
  readonly handler: MessageHandler;
  readonly onError: ((error: unknown, message: Buffer) => Message | PromiseLike<Message>) | undefined;
  readonly concurrency: number;
  readonly format: FrameFormat;
  /** That of the format. */
  readonly maxMessageBytes: number;
}

/** A message's place in the order of replies: empty until its turn can come. */
interface Slot {
  outcome?: Outcome | undefined;
  /** Kept for `onError` while its reply may turn out to be none that can be framed. */
  message?: Buffer | undefined;
}

type Outcome = { readonly reply: Message; readonly bytes: number } | { readonly error: unknown };

/** So many replies per message with the handler may wait for an earlier one. */
const WINDOW = 16;
/** No more messages are begun while so much waits for the host, or for an earlier reply. */
const MAX_WAITING_BYTES = 64 * 1024;

export class PortServer {
  /** Resolves after the last reply; rejects with what the handler threw, or what was wrong with a stream. */
  readonly done: Promise<void>;

  readonly #settings: ServerSettings;
  readonly #incoming: Incoming;
  readonly #outgoing: Outgoing;
  /** Messages begun whose reply is not framed, in order. */
  #slots: Slot[] = [];
  /** Of those, the ones that are with the handler. */
  #running = 0;
  /** Bytes of replies that wait for an earlier one. */
  #waitingBytes = 0;
  /** No more messages are begun. */
  #isOver = false;
  #failure: { readonly error: unknown } | undefined;
  #settle!: { readonly resolve: () => void; readonly reject: (error: Error) => void };

  constructor(settings: ServerSettings, input: Readable, outlet: Outlet) {
    const { format } = settings;
    this.#settings = settings;
    this.done = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    const failed = (error: Error): void => this.#streamFailed(error);
    this.#incoming = new Incoming(input, format, { more: () => this.#pump(), failed });
    const closed = (): void => this.#hostGone();
    this.#outgoing = new Outgoing(outlet, format, { taken: () => this.#pump(), closed, failed });
    // Where the input has ended already nothing else would.
    if (this.#incoming.hasEnded) this.#pump();
  }

  /** Whether the input has ended, as far as it was read. */
  get hasInputEnded(): boolean {
    return this.#incoming.hasEnded;
  }

  /** Whether somebody may still send messages and take replies, for all that was seen. */
  get hasHost(): boolean {
    return !this.#incoming.hasEnded && !this.#outgoing.isClosed;
  }

  readAhead(chunks: number): void {
    this.#incoming.readAhead(chunks);
  }

  /** Begins no more messages. */
  stop(): void {
    this.#isOver = true;
    this.#pump();
  }

  get #hasRoom(): boolean {
    const { concurrency } = this.#settings;
    if (this.#isOver || this.#running >= concurrency || this.#slots.length >= concurrency * WINDOW) return false;
    return this.#outgoing.waitingBytes + this.#waitingBytes < MAX_WAITING_BYTES;
  }

  #pump(): void {
    while (this.#hasRoom) {
      const message = this.#next();
      if (message === undefined) break;
      const slot: Slot = {};
      this.#slots.push(slot);
      this.#running += 1;
      void this.#answer(message, slot);
    }
    if (this.#isOver && this.#slots.length === 0 && this.#outgoing.isIdle) this.#settled();
  }

  #next(): Buffer | undefined {
    try {
      const message = this.#incoming.next();
      this.#isOver ||= this.#incoming.isExhausted;
      return message;
    } catch (error) {
      // What came before it is answered first.
      this.#isOver = true;
      this.#slots.push({ outcome: { error } });
      this.#handOn();
      return undefined;
    }
  }

  async #answer(message: Buffer, slot: Slot): Promise<void> {
    const { handler, onError } = this.#settings;
    try {
      const outcome = this.#checked(await handler(message));
      if (onError !== undefined) slot.message = message;
      this.#answered(slot, outcome);
    } catch (error) {
      await this.#failedOn(message, error, slot);
    }
  }

  async #failedOn(message: Buffer, error: unknown, slot: Slot): Promise<void> {
    const { onError } = this.#settings;
    let outcome: Outcome = { error };
    try {
      if (onError !== undefined) outcome = this.#checked(await onError(error, message));
    } catch (second) {
      outcome = { error: second };
    }
    this.#answered(slot, outcome);
  }

  #answered(slot: Slot, outcome: Outcome): void {
    slot.outcome = outcome;
    this.#running -= 1;
    if ('reply' in outcome) this.#waitingBytes += outcome.bytes;
    else this.#isOver = true;
    this.#handOn();
    this.#pump();
  }

  #checked(reply: Message): { readonly reply: Message; readonly bytes: number } {
    if (typeof reply !== 'string' && !ArrayBuffer.isView(reply)) throw new InvalidMessageError(reply);
    const { maxMessageBytes } = this.#settings;
    const bytes = typeof reply === 'string' ? Buffer.byteLength(reply) : reply.byteLength;
    if (bytes > maxMessageBytes) throw new MessageTooLargeError({ messageBytes: bytes, maxMessageBytes });
    return { reply, bytes };
  }

  /** Frames the replies whose turn it is. */
  #handOn(): void {
    try {
      for (let slot = this.#slots[0]; slot?.outcome !== undefined; slot = this.#slots[0]) {
        if ('error' in slot.outcome) throw slot.outcome.error;
        this.#waitingBytes -= slot.outcome.bytes;
        if (!this.#isFramed(slot, slot.outcome.reply)) return;
        this.#slots.shift();
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  /** @returns false where the reply cannot be framed, and `onError` is asked for another, in the same place */
  #isFramed(slot: Slot, reply: Message): boolean {
    const { message } = slot;
    slot.message = undefined;
    try {
      this.#outgoing.write(reply);
      return true;
    } catch (error) {
      if (message === undefined) throw error;
      slot.outcome = undefined;
      this.#running += 1;
      void this.#failedOn(message, error, slot);
      return false;
    }
  }

  #streamFailed(error: Error): void {
    if (isBrokenPipe(error)) {
      this.#hostGone();
      return;
    }
    this.#fail(error);
    this.#pump();
  }

  /** That is no failure: there is nobody to answer. What the handler has is still waited for. */
  #hostGone(): void {
    this.#isOver = true;
    this.#outgoing.close();
    this.#pump();
  }

  /** The replies before it still leave. */
  #fail(error: unknown): void {
    this.#isOver = true;
    this.#slots = [];
    this.#failure ??= { error };
  }

  #settled(): void {
    this.#incoming.stop();
    const { resolve, reject } = this.#settle;
    if (this.#failure === undefined) resolve();
    else reject(this.#failure.error as Error);
  }
}

/** The other ends of streams that a user gave learn that no more replies come. */
export async function endStreams(input: Readable, output: Writable): Promise<void> {
  await new Promise<void>((resolve) => {
    // It may have been closed by the other end long ago.
    output.once('close', resolve);
    output.end(() => resolve());
    if (output.closed) resolve();
  });
  input.destroy();
}
