import { EventEmitter } from 'node:events';
import { checkSignal } from '../duplex/port-duplex-options';
import type { Message } from '../framing/frame-writer';
import { boolean, integer, refuseUnknown } from '../options';
import type { ExitStatus } from '../process/exit-status';
import { Dispatcher } from './dispatcher';
import type { DispatcherSettings, PortState } from './dispatcher-events';
import type { Generation, Restart } from './lane-events';
import type { BrokenError } from './port-errors';
import type { Codec } from './port-options';
import type { RequestOptions } from './request';
import { RequestTransform, type TransformOptions } from './request-transform';
import type { PortStatistics } from './statistics';

/** What the monitor does, for those who watch. Of each generation: restart (but of the first), spawn, exit. */
export interface PortEvents {
  /** A child is up. */
  spawn: [child: Generation];
  /** A child has ended. */
  exit: [child: Generation, status: ExitStatus];
  /** Another child will be started. */
  restart: [next: Restart];
  /** The child of one lane was given up: a pool is smaller until `restart()`. Of a Port, `broken` comes right after. */
  lanebroken: [lane: number, error: BrokenError];
  /** The last child was given up; requests fail until `restart()`. */
  broken: [error: BrokenError];
  /** A child sent a message that nobody waits for, and is replaced. */
  unexpected: [child: Generation, message: Buffer];
}

/** What a Port and a PortPool do alike, which is all but their construction: calls to children behind one queue. */
export class PortFace<Request, Reply> extends EventEmitter<PortEvents> {
  readonly #dispatcher: Dispatcher;
  readonly #codec: Codec<Request, Reply>;

  protected constructor(settings: DispatcherSettings, codec: Codec<Request, Reply>) {
    super();
    this.#codec = codec;
    this.#dispatcher = new Dispatcher(settings, {
      spawned: (child) => this.emit('spawn', child),
      exited: (child, status) => this.emit('exit', child, status),
      restarting: (next) => this.emit('restart', next),
      laneBroken: (lane, error) => this.emit('lanebroken', lane, error),
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

  /** What was done so far, by lane and in total: a plain object, to be logged or charted. */
  statistics(): PortStatistics {
    return this.#dispatcher.statistics();
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
   * Replaces the child without a gap: the next is up before the present one gets no more. Of several, one after another:
   * a child's turn comes when the new one before it has answered or lived `minUptimeMs`. Heals what is broken, ends a
   * wait before a restart, and starts the first child where there is none.
   * @throws ClosedError
   */
  restart(): void {
    this.#dispatcher.restart();
  }

  /** Takes no more requests, finishes the accepted ones, and ends the input of the children. Resolves when they are gone. */
  close(): Promise<void> {
    return this.#dispatcher.close();
  }

  /** Rejects all requests, with `error` itself where there is one, and ends the children. Resolves when they are gone. */
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
