/**
 * One child's life: its stream, and what it may be given when.
 *
 *   starting --spawn--> preparing --start() is done--> untried --first answer--> serving
 *      |                    |                             |                         |
 *      | leave()            | leave()                     | leave()                 | leave()
 *      |                    |                             '-------> draining <------'
 *      |                    |                                          | the last awaited reply
 *      |                    |                                          v
 *      '--------------------'-------> leaving <--stop() is done-- stopping
 *
 *   Requests are given to `untried` and `serving` alone. `preparing` and `stopping` are passed through where there is no
 *   such hook. In `leaving` the child's input has ended. A child that answered in `preparing` is `serving` at once.
 *   any but leaving, over: a pipe closes, or the child exits --> dying       waits until it is known how the child ended
 *   dying: leave() --> leaving, or draining where a reply is awaited
 *   any: the stream's error, a protocol fault, end(), the state's timer --> over
 *
 *   timer of    preparing `startTimeoutMs`
 *               untried   from the first request on, `startTimeoutMs`: the child never answers, and is ended
 *               draining  none; coming from `dying` or `untried`, `closeTimeoutMs` or what is left of the start
 *               stopping, leaving   `closeTimeoutMs`: the child stays, and is ended
 *               dying     until the exit FAREWELL: it closed a pipe and lives on; after the exit, longer than the stream
 *                         takes to tell how it ended: a descendant writes on without an end
 */
import type { Duplex } from 'node:stream';
import { BatchSender, type BatchSource } from '../batch-sender';
import { PortDuplex } from '../duplex/port-duplex';
import type { PortDuplexOptions } from '../duplex/port-duplex-options';
import { ExitError, InputClosedError, TimeoutError } from '../errors';
import type { FrameFormat } from '../framing/format';
import type { PartialMessage } from '../framing/frame-parser';
import type { Framing, FramingParser, FramingWriter } from '../framing/framing';
import { Exchange, type ExchangeOwner, type ExchangeSettings } from './exchange';
import type { ExitStatus } from '../process/exit-status';
import type { InFlight } from './in-flight';
import { Patience, type PatienceSettings, type Patient } from './patience';
import { UnexpectedReplyError } from './port-errors';
import type { PortEvents } from './port-events';
import type { ChildHooks, PortChild } from './protocol';
import type { GiveUpReason, Request, RequestOptions, RequestPlace, Wait } from './request';

export interface SessionSettings extends ExchangeSettings, PatienceSettings, ChildHooks<unknown, unknown> {
  readonly args: readonly string[];
  readonly spawnOptions: PortDuplexOptions;
  readonly framing: Framing;
  /** That of the framing, where it is a length prefix. */
  readonly format: FrameFormat;
  readonly successCodes: readonly number[];
  readonly maxInFlight: number;
  readonly closeTimeoutMs: number;
  /** How long a child that closed one of its pipes is given to exit, so that it can be said how it ended. */
  readonly farewellMs: number;
  /** How long its stream may take to tell how a child ended that has exited. */
  readonly lastWordsMs: number;
  /** Default: the program is spawned. */
  readonly open?: OpenChild | undefined;
}

/** What a session asks of a PortDuplex, or of what stands in for one: the stream, its events, how it ended. */
export interface OpenedChild extends Duplex {
  readonly pid: number | undefined;
  readonly exitCode: number | null;
  readonly signalCode: NodeJS.Signals | null;
  readonly bytesWritten: number | undefined;
  readonly bytesRead: number | undefined;
  readonly bytesDropped: number | undefined;
}

export type OpenChild = (settings: { readonly command: string; readonly framing: Framing }) => OpenedChild;

/** The key of an option that is not for users: what stands in the place of a program; see rexport/testing. */
export const OPEN_CHILD = Symbol('rexport.open-child');

export type SessionState =
  'starting' | 'preparing' | 'untried' | 'serving' | 'draining' | 'stopping' | 'leaving' | 'dying' | 'over';

/**
 * Why a session takes no more: the child died by itself, it broke the protocol and was ended for that, or it was ended
 * on our account, which is no crash.
 */
export type EndKind = 'died' | 'misbehaved' | 'ended';

export interface SessionEnd {
  readonly kind: EndKind;
  readonly error: Error;
  /** The exit was one of the success codes. */
  readonly isSuccess: boolean;
  readonly uptimeMs: number;
  readonly hasAnswered: boolean;
  /** Requests that the child may have seen, in order, the settled ones too; and those that it has not. */
  readonly written: readonly Request[];
  readonly unwritten: readonly Request[];
}

/** All that is told upward, always after the session's own state has changed. */
export interface SessionOwner {
  readonly id: number;
  /** A public event. */
  tell<Name extends keyof PortEvents>(name: Name, ...args: PortEvents<unknown>[Name]): void;
  /** The child may be given requests. */
  ready(session: Session): void;
  /** There may be room for more requests, or a reply came. */
  changed(session: Session, hasAnswered: boolean): void;
  /** Once: the session takes no more. The child may still be on its way out. */
  over(session: Session, end: SessionEnd): void;
  /** Last of all: the child is gone. */
  gone(session: Session): void;
  /** Asks this child, past the queue. */
  ask(session: Session, message: unknown, options: RequestOptions): Promise<unknown>;
}

export class Session implements RequestPlace, BatchSource, ExchangeOwner, Patient {
  readonly generation: number;
  /** Requests that this child was given. */
  given = 0;
  /** Replies that came after their requests were given up. */
  lateReplies = 0;

  readonly #settings: SessionSettings;
  readonly #owner: SessionOwner;
  readonly #port: OpenedChild;
  readonly #parser: FramingParser & { readonly partial?: PartialMessage };
  readonly #writer: FramingWriter;
  readonly #sender: BatchSender;
  readonly #exchange: Exchange;
  readonly #patience: Patience;
  #state: SessionState = 'starting';
  /** Belongs to the state. */
  #timer: NodeJS.Timeout | undefined;
  /** In the midst of a chunk: requests made meanwhile, by user code that is called, wait for its end. */
  #isParsing = false;
  #spawnedAt = 0;

  constructor(generation: number, settings: SessionSettings, owner: SessionOwner) {
    this.generation = generation;
    this.#settings = settings;
    this.#owner = owner;
    this.#parser = settings.framing.parser();
    this.#writer = settings.framing.writer();
    this.#exchange = new Exchange(settings, this);
    this.#patience = new Patience(settings, this);
    const { command, args, spawnOptions } = settings;
    // No exit code is a success here: how the child ended is told by one event, whatever it was.
    const port: OpenedChild =
      settings.open?.(settings) ??
      new PortDuplex(command, args, {
        ...spawnOptions,
        pipes: spawnOptions.pipes ?? true,
        successCodes: [],
      }).unref();
    this.#port = port;
    this.#sender = new BatchSender(port, this);
    port.on('data', (chunk: Buffer) => this.#receiveChunk(chunk));
    port.once('spawn', () => this.#spawned());
    port.once('inputclosed', () => this.#inputClosed());
    port.once('outputclosed', () => this.#pipeClosed(this.#endedFor('it closed its output')));
    port.once('exit', (exitCode: number | null, signal: NodeJS.Signals | null) => this.#exited(exitCode, signal));
    port.once('error', (error) => this.#died(error));
    port.once('close', () => owner.gone(this));
  }

  get lane(): number {
    return this.#owner.id;
  }

  get state(): SessionState {
    return this.#state;
  }

  get pid(): number | undefined {
    return this.#port.pid;
  }

  /** Whether messages go to the child that are no requests from the queue. */
  get isOpen(): boolean {
    return this.#state !== 'starting' && this.#takesMessages;
  }

  get isInHook(): boolean {
    return this.#state === 'preparing' || this.#state === 'stopping';
  }

  /** Whether it takes a message that is not answered, and so takes no room. */
  get takesSends(): boolean {
    return (this.#state === 'serving' || this.#state === 'untried') && !this.#isParsing;
  }

  /** How many more requests it takes now. */
  get room(): number {
    const { inFlight } = this;
    if (!this.takesSends || inFlight.hasSuspect) return 0;
    return this.#settings.maxInFlight - inFlight.length;
  }

  /** Bytes to the child and from it, those of the framing included. */
  get bytesWritten(): number {
    return this.#port.bytesWritten ?? 0;
  }

  get bytesRead(): number {
    return this.#port.bytesRead ?? 0;
  }

  /** Requests in flight; without ids, those that were given up too. */
  get length(): number {
    return this.inFlight.length;
  }

  get uptimeMs(): number {
    return this.#spawnedAt === 0 ? 0 : performance.now() - this.#spawnedAt;
  }

  get hasAnswered(): boolean {
    return this.#exchange.replies > 0;
  }

  get usesIds(): boolean {
    return this.#exchange.usesIds;
  }

  get inFlight(): InFlight {
    return this.#exchange.inFlight;
  }

  /** A request that goes alone leaves at once; else those of one tick leave as one batch. */
  give(request: Request): void {
    request.place = this;
    if (request.kind === 'request') this.given += 1;
    this.inFlight.push(request);
    if (this.#settings.maxInFlight === 1) this.#sender.send();
    else this.#sender.schedule();
  }

  /** Takes no more, finishes what it has begun, and leaves at the end of its input. @returns what it had not begun */
  leave(): Request[] {
    const { inFlight } = this;
    const unwritten = inFlight.takeUnwritten();
    switch (this.#state) {
      case 'starting':
      case 'preparing':
        if (this.#settings.start !== undefined) this.#exchange.dismiss();
        this.#endInput();
        break;
      case 'untried':
        // Its timer goes on: a child that never answers is not waited for without a bound.
        this.#state = 'draining';
        this.#stopIfDrained();
        break;
      case 'serving':
        this.#enter('draining');
        this.#stopIfDrained();
        break;
      case 'dying':
        if (!inFlight.isAwaited) this.#endInput();
        else this.#enter('draining', this.#settings.closeTimeoutMs, () => this.#stays());
        break;
      default:
    }
    return unwritten;
  }

  /** Ends the child now. What the session holds is handed over with the reason. */
  end(kind: EndKind, error: Error): void {
    this.#finish(kind, error, false);
    this.#port.destroy();
  }

  waitOf(request: Request): Wait {
    const { inFlight, usesIds } = this;
    if (!inFlight.isWritten(request)) return { phase: this.#state === 'preparing' ? 'start' : 'queue' };
    if (inFlight.isGoingOut(request)) return { phase: 'write' };
    if (usesIds) return { phase: 'reply' };
    if (inFlight.written.first === request && this.#parser.isInsideMessage) {
      return { phase: 'body', ...this.#parser.partial };
    }
    return this.hasAnswered ? { phase: 'header' } : { phase: 'start', childAgeMs: this.uptimeMs };
  }

  givenUp(request: Request, reason: GiveUpReason): void {
    const wasWritten = this.inFlight.isWritten(request);
    this.#exchange.givenUp(request);
    if (wasWritten) this.#patience.givenUp(request, reason);
  }

  reconsider(): void {
    const verdict = this.#patience.takeVerdict();
    if (this.#state === 'over') return;
    if (verdict === undefined) {
      this.#stopIfDrained();
    } else if (verdict.kind === 'hangs') {
      this.end('ended', this.#endedFor('another request timed out', verdict.error));
    } else if (this.inFlight.hasUnwritten) {
      // Those of this tick will have been written; what a full pipe keeps back need not wait for a reply that may never come.
      setImmediate(() => this.#endIfUnwanted());
    } else this.#endIfUnwanted();
  }

  boundStart(leftMs: number): void {
    if (this.#state !== 'untried' && this.#state !== 'draining') return;
    this.#timer ??= setTimeout(() => this.#neverAnswers(), leftMs).unref();
  }

  gaveUp(): void {
    this.reconsider();
    this.#owner.changed(this, false);
  }

  nextBatch(): Buffer[] {
    // A child that has closed a pipe is dying: what it was not given goes to the next.
    if (!this.isOpen) return [];
    const { inFlight } = this;
    const { length } = inFlight;
    if (this.#exchange.hasPosts) this.#exchange.writePosts(this.#writer);
    inFlight.writeBatch(this.#writer, this.#onWritten);
    // What could not be framed, or was given up, has made room.
    if (inFlight.length < length) this.#owner.changed(this, false);
    return this.#writer.take();
  }

  batchTaken(): void {
    this.inFlight.batchTaken();
  }

  toWrite(): void {
    this.#sender.schedule();
  }

  hookSpoke(): void {
    if (this.#state === 'preparing' && !this.#isParsing) this.#port.resume();
  }

  answered(request: Request): void {
    this.#patience.answered(request);
    if (this.#state === 'untried') this.#enter('serving');
    else if (this.#state === 'draining') this.#enter('draining');
    this.#patience.started();
  }

  progressed(request: Request): void {
    this.#patience.progressed(request);
  }

  late(): void {
    this.lateReplies += 1;
  }

  unexpected(message: Buffer, isStray: boolean): void {
    const { lane, generation, pid } = this;
    this.#owner.tell('unexpected', { lane, generation, pid }, message);
    if (isStray) return;
    const cause = new UnexpectedReplyError({ command: this.#settings.command, messageBytes: message.length });
    this.end('misbehaved', this.#endedFor('it sent an unexpected reply', cause));
  }

  event(event: unknown, child: PortChild<unknown, unknown>): void {
    this.#owner.tell('message', event, child);
  }

  failed(reason: string, error: Error): void {
    this.end('misbehaved', this.#endedFor(reason, error));
  }

  ask(message: unknown, options: RequestOptions): Promise<unknown> {
    if (!this.isOpen) return Promise.reject(this.#endedFor('it takes no more requests'));
    return this.#owner.ask(this, message, options);
  }

  throttle(): void {
    if (this.#state !== 'over' && !this.#isParsing && !this.#exchange.isFull) this.#port.resume();
  }

  readonly #onWritten = (request: Request): void => this.#patience.written(request);

  get #takesMessages(): boolean {
    return this.#state !== 'leaving' && this.#state !== 'dying' && this.#state !== 'over';
  }

  #enter(state: SessionState, afterMs?: number, then?: () => void): void {
    clearTimeout(this.#timer);
    this.#state = state;
    this.#timer = afterMs === undefined || then === undefined ? undefined : setTimeout(then, afterMs).unref();
  }

  #spawned(): void {
    const { lane, generation, pid } = this;
    this.#spawnedAt = performance.now();
    this.#owner.tell('spawn', { lane, generation, pid });
    const { start, startTimeoutMs } = this.#settings;
    if (this.#state === 'starting' && start !== undefined) {
      this.#enter('preparing', startTimeoutMs, () => this.#neverAnswers());
      // What the child says first is for the hook.
      this.#port.pause();
      this.#runHook('start', () => this.#prepared());
      this.#owner.changed(this, false);
    } else this.#prepared();
  }

  #prepared(): void {
    if (this.#state === 'starting' || this.#state === 'preparing')
      this.#enter(this.hasAnswered ? 'serving' : 'untried');
    if (this.#state === 'over') return;
    if (!this.#isParsing) this.#port.resume();
    this.#owner.ready(this);
  }

  #runHook(name: 'start' | 'stop', done: () => void): void {
    const hook = this.#settings[name];
    const run = async (): Promise<void> => hook?.(this.#exchange.child);
    const state = this.#state;
    run().then(
      () => {
        if (this.#state !== state) return;
        this.#exchange.hookDone(name);
        done();
      },
      (error: unknown) => {
        if (this.#state === state) this.failed(`${name}() failed`, error as Error);
      },
    );
  }

  #neverAnswers(): void {
    const { command, startTimeoutMs: timeoutMs } = this.#settings;
    const childAgeMs = this.uptimeMs;
    const error = new TimeoutError({ command, timeoutMs, phase: 'start', limit: 'startTimeoutMs', childAgeMs });
    this.inFlight.written.first?.reject(error);
    const kind = this.#state === 'preparing' ? 'misbehaved' : 'ended';
    this.end(kind, this.#endedFor(`it had not answered after ${timeoutMs} ms`, error));
  }

  #receiveChunk(chunk: Buffer): void {
    if (this.#state === 'over') return;
    this.#patience.heard();
    this.#isParsing = true;
    try {
      this.#parser.write(chunk);
    } catch (error) {
      this.#brokeProtocol(error as Error);
      return;
    }
    this.#parse();
  }

  /** All messages of a chunk before anything else: a second answer in it must not meet the next request. */
  #parse(): void {
    const before = this.#exchange.replies;
    try {
      for (let message = this.#parser.next(); message !== undefined; message = this.#parser.next()) {
        this.#exchange.receive(message);
        // User code that was called may have ended it.
        if (this.#isOver) break;
        if (this.isInHook) {
          // What the hook waited for may have come: it has its turn before the next message.
          this.#port.pause();
          setImmediate(() => this.#parse());
          this.#owner.changed(this, false);
          return;
        }
      }
    } catch (error) {
      this.#brokeProtocol(error as Error);
      return;
    }
    this.#isParsing = false;
    if (this.#isOver) return;
    if (this.#exchange.isFull) this.#port.pause();
    else if (this.#port.isPaused()) this.#port.resume();
    this.#stopIfDrained();
    this.#owner.changed(this, this.#exchange.replies > before);
  }

  // As a method of its own: the checker does not know that what is called in between may change the state.
  get #isOver(): boolean {
    return this.#state === 'over';
  }

  #brokeProtocol(error: Error): void {
    this.#isParsing = false;
    this.inFlight.written.answered(undefined)?.reject(error);
    this.end('misbehaved', this.#endedFor('it broke the protocol', error));
  }

  #stopIfDrained(): void {
    if (this.#state !== 'draining' || this.inFlight.isAwaited) return;
    const { stop, closeTimeoutMs } = this.#settings;
    if (stop === undefined) {
      this.#endInput();
      return;
    }
    this.#enter('stopping', closeTimeoutMs, () => this.#stays());
    this.#runHook('stop', () => this.#endInput());
  }

  #endInput(): void {
    this.#enter('leaving', this.#settings.closeTimeoutMs, () => this.#stays());
    this.#port.end();
    this.#port.resume();
  }

  #stays(): void {
    const what = this.#state === 'stopping' ? 'stop() took too long' : 'it did not leave at the end of its input';
    this.end('ended', this.#endedFor(what));
  }

  #endIfUnwanted(): void {
    const { isOwed, isAwaited } = this.inFlight;
    if (this.#state === 'over' || !isOwed || isAwaited) return;
    this.end('ended', this.#endedFor('its last request was aborted'));
  }

  #inputClosed(): void {
    const { command } = this.#settings;
    // The dying close both pipes: a child that closed its input alone is alive.
    if (this.#state === 'dying') return;
    this.#pipeClosed(new InputClosedError({ command, bytesDropped: this.#port.bytesDropped ?? 0 }));
  }

  /**
   * Mostly the first sign of a death. The exit says how the child ended, and is waited for.
   * @param error what the child is ended for, where it lives on
   */
  #pipeClosed(error: Error): void {
    if (this.#state === 'over' || this.#state === 'leaving' || this.#hasExited) return;
    const livesOn = (): void => {
      if (this.#state === 'dying' && !this.#hasExited) this.end('misbehaved', error);
    };
    // Where the event loop was blocked, the exit may lie there unseen: it is in the poll phase, which comes before this.
    this.#enter('dying', this.#settings.farewellMs, () => setImmediate(livesOn));
    this.#owner.changed(this, false);
  }

  get #hasExited(): boolean {
    return this.#port.exitCode !== null || this.#port.signalCode !== null;
  }

  /** How it ended is known; the error that says so comes within the bounds of the stream. */
  #exited(exitCode: number | null, signal: NodeJS.Signals | null): void {
    const status: ExitStatus = { exitCode, signal, durationMs: this.uptimeMs };
    if (this.#state !== 'over') {
      this.#enter('dying', this.#settings.lastWordsMs, () => {
        const { command } = this.#settings;
        this.#died(new ExitError({ command, ...status, stderrTail: '' }));
        this.#port.destroy();
      });
    }
    const { lane, generation, pid } = this;
    this.#owner.tell('exit', { lane, generation, pid }, status);
    this.#owner.changed(this, false);
  }

  #died(error: Error): void {
    const { exitCode } = this.#port;
    const isSuccess = exitCode !== null && this.#settings.successCodes.includes(exitCode);
    // At the end of its input it left because we asked.
    const kind = this.#port.writableEnded ? 'ended' : 'died';
    this.#finish(kind, this.#withTruncation(error, isSuccess), isSuccess);
  }

  /** Of a cut frame and a failed exit the exit wins, and the cut is its cause; with a good exit it is the other way round. */
  #withTruncation(error: Error, isSuccess: boolean): Error {
    if (!(error instanceof ExitError)) return error;
    // In the midst of a chunk nothing is cut: it was not read to its end.
    if (this.#isParsing) return error;
    let truncation: unknown;
    try {
      this.#parser.end();
      // A framing may take what the end cuts for a whole message.
      for (let last = this.#parser.next(); last !== undefined; last = this.#parser.next()) this.#exchange.receive(last);
      return error;
    } catch (cut) {
      truncation = cut;
    }
    const [winner, cause] = isSuccess ? [truncation as Error, error] : [error, truncation];
    return Object.defineProperty(winner, 'cause', { value: cause, configurable: true, writable: true });
  }

  #endedFor(reason: string, cause?: Error): ExitError {
    const { command } = this.#settings;
    const durationMs = this.uptimeMs;
    return new ExitError({ command, exitCode: null, signal: null, reason, durationMs, stderrTail: '', cause });
  }

  #finish(kind: EndKind, error: Error, isSuccess: boolean): void {
    if (this.#state === 'over') return;
    const { uptimeMs, hasAnswered } = this;
    const { inFlight } = this;
    const written = inFlight.written.takeAll();
    const unwritten = inFlight.takeAllUnwritten();
    this.#patience.end();
    this.#enter('over');
    this.#exchange.end(error);
    this.#owner.over(this, { kind, error, isSuccess, uptimeMs, hasAnswered, written, unwritten });
  }
}
