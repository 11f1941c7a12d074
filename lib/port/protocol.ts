/** What a program says and is told, where that is more than one reply to each message, in order. */
import type { Message } from '../framing/frame-writer';
import type { RequestOptions } from './request';

/**
 * What a message from a child is: a reply, or an error reply, to a request; progress of one; an event, which belongs to
 * no request; a call, which the child waits for; or no message at all. With ids, the first three name the request.
 */
export type Incoming<Reply, Event = never> =
  | { readonly reply: Reply; readonly id?: number | undefined }
  | { readonly error: Error; readonly id?: number | undefined }
  | { readonly progress: unknown; readonly id: number }
  | { readonly event: Event }
  | { readonly call: () => Message | undefined | Promise<Message | undefined> }
  | { readonly stray: true };

/** The same as functions, which help inference: `return incoming.reply(value, id)`. */
export const incoming = {
  /** Settles the request of that id; without ids, the oldest one. */
  reply: <Reply>(reply: Reply, id?: number) => ({ reply, id }),
  /** Rejects the request with the error; the child stays. */
  error: (error: Error, id?: number) => ({ error, id }),
  /** Handed to the request's `onProgress`; restarts its `runTimeoutMs`. */
  progress: (progress: unknown, id: number) => ({ progress, id }),
  /** Emitted as `message`. */
  event: <Event>(event: Event) => ({ event }),
  /** The function makes the answer, which is written to the child; undefined for none. */
  call: (call: () => Message | undefined | Promise<Message | undefined>) => ({ call }),
  /** Not a message of this protocol: emitted as `unexpected`, and the child stays. */
  stray: () => ({ stray: true as const }),
};

/** How a program is spoken to. Stateless, or with a state that holds for all children: each call names the child. */
export interface Protocol<Request, Reply, Event = never> {
  /**
   * Whether requests have ids, and so may be answered in any order. Then a deadline or an abort costs no child, until a
   * child lets three deadlines in a row pass without a message. Default true.
   */
  readonly ids?: boolean | undefined;
  /**
   * Makes the message of a request, at the call.
   * @param id the request's, never used twice in a port's life; undefined for a `send`, and without ids
   * @param wantsProgress whether the request has an `onProgress`
   * @throws anything: the request is rejected with it
   */
  encode(message: Request, id?: number, wantsProgress?: boolean): Message;
  /**
   * Says what a message of a child is. The message is the caller's own; it may be a view on a larger chunk.
   * @throws anything: the child broke the protocol, and is replaced
   */
  receive(message: Buffer, child: PortChild<Request, unknown>): Incoming<Reply, Event>;
  /** Tells the child that nobody waits any more for a request it was given. Absent: a late reply is dropped. */
  cancel?(id: number, child: PortChild<Request, unknown>): void;
}

/** One child of a port, for the hooks that speak with it past the queue. */
export interface PortChild<Request, Reply> {
  /** The place of the child, counted from 0; always 0 in a Port. */
  readonly lane: number;
  /** How many children the lane has had, this one included. */
  readonly generation: number;
  /** The process number; undefined where the program could not be started. */
  readonly pid: number | undefined;
  /**
   * The child's next message as it came, past the protocol. In `start` and `stop` alone. Rejects with the child's
   * ExitError when it dies, and when the hook is done before the message comes.
   */
  receive(): Promise<Buffer>;
  /** Asks this child, past the queue and beyond `maxInFlight`. */
  request(message: Request, options?: Omit<RequestOptions, 'idempotent'>): Promise<Reply>;
  /** Writes a message that is not answered. Dropped when the child takes no more. */
  send(message: Request): void;
}

/** The hooks of a child's life. */
export interface ChildHooks<Request, Reply> {
  /**
   * Called when a child is up, before its first request: for a greeting, a handshake, a set-up. Nothing is read from the
   * child before this first asks or sends. Takes `startTimeoutMs` at most. A throw is a crash of the child.
   */
  readonly start?: ((child: PortChild<Request, Reply>) => void | Promise<void>) | undefined;
  /**
   * Called after a child's last reply and before the end of its input, when it leaves by `close()`, by a planned
   * replacement or because it was idle. Takes `closeTimeoutMs` at most.
   */
  readonly stop?: ((child: PortChild<Request, Reply>) => void | Promise<void>) | undefined;
}

/** Numbers of requests, none twice in a port's life. No list of those that were given is kept. */
export class RequestIds {
  #last = 0;

  give(): number {
    this.#last += 1;
    return this.#last;
  }

  wasGiven(id: unknown): boolean {
    return Number.isInteger(id) && (id as number) >= 1 && (id as number) <= this.#last;
  }
}
