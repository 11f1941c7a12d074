import { EventEmitter } from 'node:events';
import { checkSignal } from '../duplex/port-duplex-options';
import type { Message } from '../framing/frame-writer';
import { boolean, integer, refuseUnknown } from '../options';
import type { ExitStatus } from '../process/exit-status';
import { Dispatcher, type PortState } from './dispatcher';
import type { Generation, Restart } from './lane-events';
import type { BrokenError } from './port-errors';
import { checkPortOptions, type Codec, type PortOptions } from './port-options';
import type { RequestOptions } from './request';
import { RequestTransform, type TransformOptions } from './request-transform';

/** What the monitor does, for those who watch. Of each generation: restart (but of the first), spawn, exit. */
export interface PortEvents {
  /** A child is up. */
  spawn: [child: Generation];
  /** A child has ended. */
  exit: [child: Generation, status: ExitStatus];
  /** Another child will be started. */
  restart: [next: Restart];
  /** The child was given up; requests fail until `restart()`. */
  broken: [error: BrokenError];
  /** A child sent a message that nobody waits for, and is replaced. */
  unexpected: [child: Generation, message: Buffer];
}

/**
 * A program kept warm behind `await port.request(message)`: monitored, and replaced when it dies.
 *
 * The program reads frames from its stdin and answers each with one frame on its stdout, in order, as the programs
 * behind Erlang's ports do. Nothing is started before the first request. An idle port does not keep this process alive,
 * a pending request does.
 *
 * A message must not be changed before its request is settled. A reply is yours; it may be a view on a larger chunk.
 */
export class Port<Request = Message, Reply = Buffer> extends EventEmitter<PortEvents> {
  readonly #dispatcher: Dispatcher;
  readonly #codec: Codec<Request, Reply>;

  /** @throws TypeError or RangeError for a wrong argument or option; what the system refuses fails the requests */
  constructor(command: string, args?: readonly string[], options?: PortOptions<Request, Reply>);
  constructor(command: string, options?: PortOptions<Request, Reply>);
  constructor(
    command: string,
    second?: readonly string[] | PortOptions<Request, Reply>,
    third?: PortOptions<Request, Reply>,
  ) {
    super();
    const { settings, codec } = checkPortOptions<Request, Reply>('Port', command, second, third);
    this.#codec = codec;
    this.#dispatcher = new Dispatcher(settings, {
      spawned: (child) => this.emit('spawn', child),
      exited: (child, status) => this.emit('exit', child, status),
      restarting: (next) => this.emit('restart', next),
      broken: (error) => this.emit('broken', error),
      unexpected: (child, message) => this.emit('unexpected', child, message),
    });
  }

  get state(): PortState {
    return this.#dispatcher.state;
  }

  /** Requests accepted and not yet settled. */
  get pending(): number {
    return this.#dispatcher.pending;
  }

  /** Those of them that no child was given yet. */
  get queued(): number {
    return this.#dispatcher.queued;
  }

  /** How often a child was started in the place of another. */
  get restarts(): number {
    return this.#dispatcher.restarts;
  }

  /**
   * Sends a message and gives the reply to it. Rejects with an ExitError when the child dies with it, TimeoutError,
   * MessageTooLargeError, InvalidMessageError, FrameTruncatedError, BadLengthError, PoisonError (only `idempotent`
   * ones), BrokenError, ClosedError, QueueFullError, AbortError, or with what `encode` or `decode` threw.
   */
  request(message: Request, options: RequestOptions = {}): Promise<Reply> {
    const { encode, decode } = this.#codec;
    let reply: Promise<Buffer>;
    try {
      checkRequestOptions(options);
      reply = this.#dispatcher.request(encode === undefined ? (message as Message) : encode(message), options);
    } catch (error) {
      // A throw of the caller's hook, whatever it is, or for a wrong option, is a rejection too.
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
      reply = Promise.reject(error);
    }
    return decode === undefined ? (reply as Promise<Reply & Buffer>) : reply.then(decode);
  }

  /** A stage of a pipeline: message in, reply out, in request order. */
  transform(options: TransformOptions<Request, Reply> = {}): RequestTransform<Request, Reply> {
    return new RequestTransform(this, this.#dispatcher.capacity, options);
  }

  /**
   * Replaces the child without a gap: the next is up before the present one gets no more. Heals a broken port, ends a
   * wait before a restart, and starts the first child of an idle one.
   * @throws ClosedError
   */
  restart(): void {
    this.#dispatcher.restart();
  }

  /** Takes no more requests, finishes the accepted ones, and ends the child's input. Resolves when the child is gone. */
  close(): Promise<void> {
    return this.#dispatcher.close();
  }

  /** Rejects all requests, with `error` itself where there is one, and ends the child. Resolves when it is gone. */
  destroy(error?: Error): Promise<void> {
    return this.#dispatcher.destroy(error);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function checkRequestOptions(options: RequestOptions): void {
  refuseUnknown('request', options, ['signal', 'timeoutMs', 'idempotent']);
  const { signal, timeoutMs, idempotent } = options;
  checkSignal(signal);
  if (timeoutMs !== undefined) integer('timeoutMs', timeoutMs, 1, 2 ** 31 - 1);
  if (idempotent !== undefined) boolean('idempotent', idempotent);
}
