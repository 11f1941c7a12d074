/**
 * What is said between this process and one child: requests and replies, and with a protocol also events, calls of the
 * child and progress. The one place between a frame and the request that it answers.
 */
import { Fifo } from '../fifo';
import type { Message } from '../framing/frame-writer';
import { callUser } from '../user-code';
import { InFlight } from './in-flight';
import type { Incoming, PortChild, Protocol, RequestIds } from './protocol';
import type { Request, RequestOptions } from './request';

export interface ExchangeSettings {
  readonly protocol: Protocol<unknown, unknown, unknown> | undefined;
  readonly ids: RequestIds;
}

/** The session, as its exchange sees it. */
export interface ExchangeOwner {
  readonly lane: number;
  readonly generation: number;
  readonly pid: number | undefined;
  /** Whether messages go to the child, so that a `send` is not dropped. */
  readonly isOpen: boolean;
  /** Whether one of the hooks runs that may take messages as they come. */
  readonly isInHook: boolean;
  /** A hook speaks, or waits for a message. */
  hookSpoke(): void;
  /** There is something to write. */
  toWrite(): void;
  /** The request was answered. */
  answered(request: Request): void;
  /** Progress was made, and so its run begins anew. */
  progressed(request: Request): void;
  /** A reply that came too late. */
  late(): void;
  /** A message that nobody waits for. The child is replaced, unless it was none. */
  unexpected(message: Buffer, isStray: boolean): void;
  /** An event of the child. */
  event(event: unknown, child: PortChild<unknown, unknown>): void;
  /** What was said, or a hook that was asked what it means, is at fault. */
  failed(reason: string, error: Error): void;
  /** Asks this child for a hook. */
  ask(message: unknown, options: RequestOptions): Promise<unknown>;
  /** Whether more is to be read. */
  throttle(): void;
}

interface Receiver {
  readonly resolve: (message: Buffer) => void;
  readonly reject: (error: Error) => void;
}

/** How many calls of a child may be at work before its output is left unread. */
const MAX_CALLS = 256;

export class Exchange {
  readonly inFlight: InFlight;
  /** Answers that have come. */
  replies = 0;

  readonly #settings: ExchangeSettings;
  readonly #owner: ExchangeOwner;
  readonly #child: ChildHandle;
  /** Messages past the queue: answers to calls, and what hooks send. */
  readonly #posts = new Fifo<Message>();
  readonly #receivers = new Fifo<Receiver>();
  #hearer: 'protocol' | 'nobody' = 'protocol';
  #calls = 0;
  #ofHooks = 0;

  constructor(settings: ExchangeSettings, owner: ExchangeOwner) {
    this.#settings = settings;
    this.#owner = owner;
    this.inFlight = new InFlight(this.usesIds);
    this.#child = new ChildHandle(owner, {
      receive: (receiver) => this.#addReceiver(receiver),
      request: (message, options) => this.#ask(message, options),
      send: (message) => this.#send(message),
    });
  }

  get usesIds(): boolean {
    const { protocol } = this.#settings;
    return protocol !== undefined && protocol.ids !== false;
  }

  get child(): PortChild<unknown, unknown> {
    return this.#child;
  }

  /** Whether too many calls are at work to read more; what a call waits for is read all the same. */
  get isFull(): boolean {
    return this.#calls >= MAX_CALLS && this.#ofHooks === 0;
  }

  get hasPosts(): boolean {
    return this.#posts.length > 0;
  }

  /** Adds what waits past the queue to the batch. */
  writePosts(writer: { write(message: Message): void }): void {
    for (let post = this.#posts.shift(); post !== undefined; post = this.#posts.shift()) {
      try {
        writer.write(post);
      } catch (error) {
        this.#owner.failed('a message to it could not be sent', error as Error);
      }
    }
  }

  /** Where one message belongs. User code is called, which may call anything. */
  receive(message: Buffer): void {
    const receiver = this.#receivers.shift();
    const { protocol } = this.#settings;
    if (receiver !== undefined) {
      this.replies += 1;
      receiver.resolve(message);
    } else if (this.#hearer === 'nobody') {
      return;
    } else if (protocol === undefined) {
      const request = this.#answered(undefined, message);
      request?.resolve(message);
    } else {
      let what: Incoming<unknown, unknown>;
      try {
        what = protocol.receive(message, this.#child);
      } catch (error) {
        this.#owner.failed('it broke the protocol', error as Error);
        return;
      }
      this.#handle(what, message);
    }
  }

  /** One of the requests was settled from outside. Tells the child, where the protocol can. */
  givenUp(request: Request): void {
    const wasWritten = this.inFlight.isWritten(request);
    this.inFlight.givenUp(request);
    // A child that is on its way out is told nothing.
    if (!wasWritten || request.id === undefined || !this.#owner.isOpen) return;
    try {
      this.#settings.protocol?.cancel?.(request.id, this.#child);
    } catch (error) {
      this.#owner.failed('cancel() threw', error as Error);
    }
  }

  /** The hook is done: a message that it asked for, and that has not come, would be taken from a request. */
  hookDone(name: string): void {
    const error = new Error(`${name}() was done before the message came that it asked for`);
    for (const { reject } of this.#receivers.takeAll()) reject(error);
  }

  /** What the child says from now on is for nobody: it was never made ready to be understood. */
  dismiss(): void {
    this.#hearer = 'nobody';
  }

  /** The child takes no more: what hooks wait for is rejected. */
  end(error: Error): void {
    for (const { reject } of this.#receivers.takeAll()) reject(error);
    this.#posts.takeAll();
  }

  #handle(what: Incoming<unknown, unknown>, message: Buffer): void {
    if ('reply' in what) {
      this.#answered(what.id, message)?.settleWith(what.reply);
    } else if ('error' in what) {
      this.#answered(what.id, message)?.reject(what.error);
    } else if ('progress' in what) {
      this.#progressed(what.id, what.progress, message);
    } else if ('event' in what) {
      this.#owner.event(what.event, this.#child);
    } else if ('call' in what) {
      void this.#call(what.call);
    } else if ('stray' in what) {
      this.#owner.unexpected(message, true);
    } else {
      const error = new TypeError('expected receive() to return a reply, error, progress, event, call or stray');
      this.#owner.failed('it broke the protocol', error);
    }
  }

  /** The request that a message answers, taken out of those in flight. */
  #answered(id: number | undefined, message: Buffer): Request | undefined {
    const request = this.inFlight.written.answered(id);
    if (request === undefined) {
      if (this.usesIds && this.#settings.ids.wasGiven(id)) this.#owner.late();
      else this.#owner.unexpected(message, false);
      return undefined;
    }
    this.replies += 1;
    this.#owner.answered(request);
    return request;
  }

  #progressed(id: number, value: unknown, message: Buffer): void {
    const request = this.inFlight.written.find(id);
    if (request === undefined) {
      if (!this.#settings.ids.wasGiven(id)) this.#owner.unexpected(message, false);
      return;
    }
    this.#owner.progressed(request);
    if (request.onProgress !== undefined) callUser(request.onProgress, value);
  }

  async #call(call: () => Message | undefined | Promise<Message | undefined>): Promise<void> {
    this.#calls += 1;
    try {
      const answer = await call();
      if (answer !== undefined) this.#post(answer);
    } catch (error) {
      this.#owner.failed('the handler of its call threw', error as Error);
    } finally {
      this.#calls -= 1;
      this.#owner.throttle();
    }
  }

  #post(message: Message): void {
    if (!this.#owner.isOpen) return;
    this.#posts.push(message);
    this.#owner.toWrite();
  }

  #addReceiver(receiver: Receiver): void {
    if (!this.#owner.isInHook) {
      receiver.reject(new Error('expected receive() to be called in start or stop, while it runs'));
      return;
    }
    this.#receivers.push(receiver);
    this.#owner.hookSpoke();
  }

  async #ask(message: unknown, options: RequestOptions): Promise<unknown> {
    this.#ofHooks += 1;
    this.#owner.throttle();
    try {
      const reply = this.#owner.ask(message, options);
      this.#owner.hookSpoke();
      return await reply;
    } finally {
      this.#ofHooks -= 1;
    }
  }

  #send(message: unknown): void {
    const { protocol } = this.#settings;
    this.#post(protocol === undefined ? (message as Message) : protocol.encode(message));
    this.#owner.hookSpoke();
  }
}

interface Exchanged {
  receive(receiver: Receiver): void;
  request(message: unknown, options: RequestOptions): Promise<unknown>;
  send(message: unknown): void;
}

/** What hooks are given of a child. */
class ChildHandle implements PortChild<unknown, unknown> {
  readonly #owner: ExchangeOwner;
  readonly #exchanged: Exchanged;

  constructor(owner: ExchangeOwner, exchanged: Exchanged) {
    this.#owner = owner;
    this.#exchanged = exchanged;
  }

  get lane(): number {
    return this.#owner.lane;
  }

  get generation(): number {
    return this.#owner.generation;
  }

  get pid(): number | undefined {
    return this.#owner.pid;
  }

  receive(): Promise<Buffer> {
    return new Promise((resolve, reject) => this.#exchanged.receive({ resolve, reject }));
  }

  request(message: unknown, options: Omit<RequestOptions, 'idempotent'> = {}): Promise<unknown> {
    return this.#exchanged.request(message, options);
  }

  send(message: unknown): void {
    this.#exchanged.send(message);
  }
}
