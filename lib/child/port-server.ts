/** The engine of servePort, which knows streams and nothing of processes. */
import type { Readable, Writable } from 'node:stream';
import { isBrokenPipe } from '../broken-pipe';
import type { Framing, Message } from '../framing/framing';
import { InvalidMessageError } from '../framing/framing-errors';
import { InOrder, type Slot } from '../in-order';
import { Incoming } from './incoming';
import { Outgoing, type Outlet } from './outgoing';

/** Makes the reply to a message. */
export type MessageHandler = (message: Buffer) => Message | PromiseLike<Message>;

/** What the handler of a server without an order may do apart from replying. */
export interface MessageContext {
  /**
   * Sends a message that is no reply: progress, a notification, a request of this side. It leaves before the reply of the
   * handler that sends it. Resolves when the system has taken it, or nobody is there to take it.
   * @throws (rejects) MessageTooLargeError, InvalidMessageError
   */
  readonly send: (message: Message) => Promise<void>;
}

/** Makes the reply to a message, or `undefined` for none, where replies say by themselves what they answer. */
export type UnorderedMessageHandler = (
  message: Buffer,
  context: MessageContext,
) => Message | undefined | PromiseLike<Message | undefined>;

export interface ServerSettings {
  readonly handler: UnorderedMessageHandler;
  readonly onError:
    ((error: unknown, message: Buffer) => Message | undefined | PromiseLike<Message | undefined>) | undefined;
  readonly concurrency: number;
  /** Whether each message has one reply, in the order of the messages. */
  readonly ordered: boolean;
  readonly framing: Framing;
}

type Outcome =
  /** The message is kept for `onError` while its reply may turn out to be none that can be framed. */
  | { readonly reply: Message; readonly bytes: number; readonly message: Buffer | undefined }
  | { readonly error: unknown }
  | 'no reply';

/** No more messages are begun while so much waits for the host, or for an earlier reply. */
const MAX_WAITING_BYTES = 64 * 1024;

export class PortServer {
  /** Resolves after the last reply; rejects with what the handler threw, or what was wrong with a stream. */
  readonly done: Promise<void>;
  /** Once it is done: whether somebody might then still have sent messages and taken replies. */
  hasHost: boolean | undefined;

  readonly #settings: ServerSettings;
  readonly #incoming: Incoming;
  readonly #outgoing: Outgoing;
  readonly #context: MessageContext = { send: (message) => this.#send(message) };
  /** Messages begun whose reply is not framed. */
  readonly #work: InOrder<Outcome>;
  /** Bytes of replies that wait for an earlier one. */
  #waitingBytes = 0;
  /** The reply whose turn it is could not be framed, and `onError` makes another. */
  #isReplacing = false;
  /** No more messages are begun. */
  #isOver = false;
  #failure: { readonly error: unknown } | undefined;
  #settle!: { readonly resolve: () => void; readonly reject: (error: Error) => void };

  constructor(settings: ServerSettings, input: Readable, outlet: Outlet) {
    const { framing, concurrency, ordered } = settings;
    this.#settings = settings;
    this.#work = new InOrder(concurrency, ordered);
    this.done = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    const failed = (error: Error): void => this.#streamFailed(error);
    this.#incoming = new Incoming(input, framing.parser(), { more: () => this.#pump(), failed });
    const closed = (): void => this.#hostGone();
    this.#outgoing = new Outgoing(outlet, framing.writer(), { taken: () => this.#pump(), closed, failed });
    // Where the input has ended already nothing else would.
    if (this.#incoming.hasEnded) this.#pump();
  }

  /** Whether the input has ended, as far as it was read. */
  get hasInputEnded(): boolean {
    return this.#incoming.hasEnded;
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
    if (this.#isOver || !this.#work.hasRoom) return false;
    return this.#outgoing.waitingBytes + this.#waitingBytes < MAX_WAITING_BYTES;
  }

  /** A failure waits for no handler: what they make is for nobody. */
  get #isDone(): boolean {
    return this.#isOver && (this.#failure !== undefined || this.#work.isEmpty) && this.#outgoing.isIdle;
  }

  #pump(): void {
    while (this.#hasRoom) {
      const message = this.#next();
      if (message === undefined) break;
      void this.#answer(message, this.#work.begin());
    }
    if (this.#isDone) this.#settled();
  }

  #next(): Buffer | undefined {
    try {
      const message = this.#incoming.next();
      this.#isOver ||= this.#incoming.isExhausted;
      return message;
    } catch (error) {
      // What came before it is answered first.
      this.#isOver = true;
      this.#end(this.#work.begin(), { error });
      return undefined;
    }
  }

  async #answer(message: Buffer, slot: Slot<Outcome>): Promise<void> {
    const { handler, onError } = this.#settings;
    let outcome: Outcome;
    try {
      outcome = this.#checked(await handler(message, this.#context), onError === undefined ? undefined : message);
    } catch (error) {
      outcome = await this.#replacement(error, message);
    }
    this.#end(slot, outcome);
    this.#pump();
  }

  async #replacement(error: unknown, message: Buffer): Promise<Outcome> {
    const { onError } = this.#settings;
    if (onError === undefined) return { error };
    try {
      return this.#checked(await onError(error, message), undefined);
    } catch (second) {
      return { error: second };
    }
  }

  #checked(reply: Message | undefined, message: Buffer | undefined): Outcome {
    if (reply === undefined && !this.#settings.ordered) return 'no reply';
    if (typeof reply !== 'string' && !ArrayBuffer.isView(reply)) throw new InvalidMessageError(reply);
    return { reply, bytes: typeof reply === 'string' ? Buffer.byteLength(reply) : reply.byteLength, message };
  }

  #end(slot: Slot<Outcome>, outcome: Outcome): void {
    this.#note(outcome);
    this.#work.end(slot, outcome);
    this.#handOn();
  }

  #note(outcome: Outcome): void {
    if (outcome === 'no reply') return;
    if ('error' in outcome) this.#isOver = true;
    else this.#waitingBytes += outcome.bytes;
  }

  /** Frames the replies whose turn it is. */
  #handOn(): void {
    while (!this.#isReplacing && this.#failure === undefined) {
      const slot = this.#work.peek();
      const outcome = slot?.result;
      if (slot === undefined || outcome === undefined) return;
      if (outcome !== 'no reply') {
        if ('error' in outcome) {
          this.#fail(outcome.error);
          return;
        }
        this.#waitingBytes -= outcome.bytes;
        try {
          this.#outgoing.write(outcome.reply);
        } catch (error) {
          this.#replace(slot, error, outcome.message);
          continue;
        }
      }
      this.#work.shift();
    }
  }

  /** The reply could not be framed: `onError`, where there is one, makes another for the same place. */
  #replace(slot: Slot<Outcome>, error: unknown, message: Buffer | undefined): void {
    if (message === undefined) {
      this.#isOver = true;
      slot.result = { error };
      return;
    }
    this.#isReplacing = true;
    void this.#replacement(error, message).then((outcome) => {
      this.#isReplacing = false;
      this.#note(outcome);
      slot.result = outcome;
      this.#handOn();
      this.#pump();
    });
  }

  #send(message: Message): Promise<void> {
    return new Promise((resolve) => this.#outgoing.write(message, resolve));
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
    this.#failure ??= { error };
    this.#work.clear();
  }

  #settled(): void {
    if (this.hasHost !== undefined) return;
    this.hasHost = !this.#incoming.hasEnded && !this.#outgoing.isClosed;
    this.#incoming.stop();
    // What a handler sends from now on has no place any more.
    this.#outgoing.close();
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
