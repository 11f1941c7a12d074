/**
 * One child's life: its stream, the requests it holds, and its replies.
 *
 *   starting --spawn--> untried --first reply--> serving
 *      |                   |                        |
 *      | leave()           | leave()                | leave()          requests are given to `untried` and `serving`
 *      |                   '--------> draining <----'                  alone; `draining` waits for the replies that are
 *      |                                 |                             awaited, `leaving` for the exit: the child's input
 *      '--------> leaving <--last reply--'                             has ended by then
 *                    |
 *   any but over: a pipe closes, or the child exits --> dying          waits until it is known how the child ended
 *   dying: leave() --> leaving, or draining where a reply is awaited
 *   any: the stream's error, a protocol fault, end(), the state's timer --> over
 *
 *   timer of    untried   from the first request on, `startTimeoutMs`: the child never answers, and is ended
 *               draining  none; coming from `dying` or `untried`, `closeTimeoutMs` or what is left of the start
 *               leaving   `closeTimeoutMs`: the child stays after the end of its input, and is ended
 *               dying     until the exit FAREWELL: it closed a pipe and lives on; after the exit, longer than the stream
 *                         takes to tell how it ended: a descendant writes on without an end
 */
import type { Duplex } from 'node:stream';
import { BatchSender, type BatchSource } from '../batch-sender';
import { PortDuplex } from '../duplex/port-duplex';
import type { PortDuplexOptions } from '../duplex/port-duplex-options';
import { ExitError, InputClosedError, TimeoutError } from '../errors';
import type { FrameFormat } from '../framing/format';
import { FrameParser } from '../framing/frame-parser';
import { FrameWriter } from '../framing/frame-writer';
import type { ExitStatus } from '../process/exit-status';
import { Deadlines } from './deadlines';
import { InFlight } from './in-flight';
import { UnexpectedReplyError } from './port-errors';
import { type GiveUpReason, type Request, type RequestPlace, type Wait } from './request';

export interface SessionSettings {
  readonly command: string;
  readonly args: readonly string[];
  readonly spawnOptions: PortDuplexOptions;
  readonly format: FrameFormat;
  readonly successCodes: readonly number[];
  readonly maxInFlight: number;
  readonly startTimeoutMs: number;
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

export type OpenChild = (settings: { readonly command: string; readonly format: FrameFormat }) => OpenedChild;

/** The key of an option that is not for users: what stands in the place of a program; see rexport/testing. */
export const OPEN_CHILD = Symbol('rexport.open-child');

export type SessionState = 'starting' | 'untried' | 'serving' | 'draining' | 'leaving' | 'dying' | 'over';

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
  spawned(session: Session): void;
  /** There may be room for more requests. */
  changed(session: Session, hasAnswered: boolean): void;
  /** The child sent a message that nobody waits for. */
  unexpected(session: Session, message: Buffer): void;
  exited(session: Session, status: ExitStatus): void;
  /** Once: the session takes no more. The child may still be on its way out. */
  over(session: Session, end: SessionEnd): void;
  /** Last of all: the child is gone. */
  gone(session: Session): void;
}

export class Session implements RequestPlace, BatchSource {
  readonly generation: number;
  /** Requests that this child was given. */
  given = 0;

  readonly #settings: SessionSettings;
  readonly #owner: SessionOwner;
  readonly #runDeadlines = new Deadlines<Request>((requests) => this.#overran(requests));
  readonly #port: OpenedChild;
  readonly #parser: FrameParser;
  readonly #writer: FrameWriter;
  readonly #sender: BatchSender;
  readonly #inFlight = new InFlight();
  #state: SessionState = 'starting';
  /** Belongs to the state. */
  #timer: NodeJS.Timeout | undefined;
  /** In the midst of a chunk: requests made meanwhile, by user code that is called, wait for its end. */
  #isParsing = false;
  #spawnedAt = 0;
  #replies = 0;
  /** What was given up since the last `reconsider`, as far as it may cost the child. */
  #costly: { readonly reason: GiveUpReason; readonly error: Error | undefined } | undefined;

  constructor(generation: number, settings: SessionSettings, owner: SessionOwner) {
    this.generation = generation;
    this.#settings = settings;
    this.#owner = owner;
    this.#parser = new FrameParser(settings.format);
    this.#writer = new FrameWriter(settings.format);
    const { command, args, spawnOptions } = settings;
    // No exit code is a success here: how the child ended is told by one event, whatever it was.
    const port: OpenedChild =
      settings.open?.(settings) ?? new PortDuplex(command, args, { ...spawnOptions, successCodes: [] }).unref();
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

  get state(): SessionState {
    return this.#state;
  }

  get pid(): number | undefined {
    return this.#port.pid;
  }

  /** How many more requests it takes now. */
  get room(): number {
    const takesRequests = this.#state === 'serving' || this.#state === 'untried';
    if (!takesRequests || this.#isParsing || this.#inFlight.hasSuspect) return 0;
    return this.#settings.maxInFlight - this.#inFlight.length;
  }

  /** Bytes to the child and from it, prefixes included. */
  get bytesWritten(): number {
    return this.#port.bytesWritten ?? 0;
  }

  get bytesRead(): number {
    return this.#port.bytesRead ?? 0;
  }

  /** Requests in flight, those that were given up too. */
  get length(): number {
    return this.#inFlight.length;
  }

  get uptimeMs(): number {
    return this.#spawnedAt === 0 ? 0 : performance.now() - this.#spawnedAt;
  }

  get hasAnswered(): boolean {
    return this.#replies > 0;
  }

  /** A request that goes alone leaves at once; else those of one tick leave as one batch. */
  give(request: Request): void {
    request.place = this;
    this.given += 1;
    this.#inFlight.push(request);
    if (this.#settings.maxInFlight === 1) this.#sender.send();
    else this.#sender.schedule();
  }

  /** Takes no more, finishes what it has begun, and leaves at the end of its input. @returns what it had not begun */
  leave(): Request[] {
    const unwritten = this.#inFlight.takeUnwritten();
    switch (this.#state) {
      case 'starting':
        this.#endInput();
        break;
      case 'untried':
        if (!this.#inFlight.isAwaited) this.#endInput();
        // Its timer goes on: a child that never answers is not waited for without a bound.
        else this.#state = 'draining';
        break;
      case 'serving':
        if (!this.#inFlight.isAwaited) this.#endInput();
        else this.#enter('draining');
        break;
      case 'dying':
        if (!this.#inFlight.isAwaited) this.#endInput();
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
    const inFlight = this.#inFlight;
    if (!inFlight.isWritten(request)) return { phase: 'queue' };
    if (inFlight.isGoingOut(request)) return { phase: 'write' };
    if (inFlight.first === request && this.#parser.isInsideMessage) return { phase: 'body', ...this.#parser.partial };
    return this.hasAnswered ? { phase: 'header' } : { phase: 'start', childAgeMs: this.uptimeMs };
  }

  givenUp(request: Request, reason: GiveUpReason): void {
    this.#inFlight.givenUp(request);
    if (!this.#inFlight.isWritten(request)) return;
    if (reason === 'run timeout') this.#costly = { reason, error: request.error };
    else if (reason === 'abort') this.#costly ??= { reason, error: request.error };
    // A child that never answered is still starting; one whose run is bounded is ended by that bound.
    else if (this.hasAnswered && request.runTimeoutMs === undefined) this.#costly = { reason, error: request.error };
  }

  reconsider(): void {
    const costly = this.#costly;
    this.#costly = undefined;
    if (this.#state === 'over') return;
    if (costly === undefined) {
      if (this.#state === 'draining' && !this.#inFlight.isAwaited) this.#endInput();
    } else if (costly.reason !== 'abort') {
      // The late reply of a request would answer the next one.
      this.end('ended', this.#endedFor('another request timed out', costly.error));
    } else if (this.#inFlight.hasUnwritten) {
      // Those of this tick will have been written; what a full pipe keeps back need not wait for a reply that may never come.
      setImmediate(() => this.#endIfUnwanted());
    } else this.#endIfUnwanted();
  }

  nextBatch(): Buffer[] {
    // A child that has closed a pipe is dying: what it was not given goes to the next.
    if (this.#state !== 'serving' && this.#state !== 'untried') return [];
    const { length } = this.#inFlight;
    const chunks = this.#inFlight.writeBatch(this.#writer, this.#onWritten);
    if (this.#state === 'untried' && this.#inFlight.isOwed) this.#awaitFirstReply();
    // What could not be framed, or was given up, has made room.
    if (this.#inFlight.length < length) this.#owner.changed(this, false);
    return chunks;
  }

  batchTaken(): void {
    this.#inFlight.batchTaken();
  }

  readonly #onWritten = (request: Request): void => {
    if (request.runTimeoutMs !== undefined && this.hasAnswered) this.#startRunDeadline(request, performance.now());
  };

  #enter(state: SessionState, afterMs?: number, then?: () => void): void {
    clearTimeout(this.#timer);
    this.#state = state;
    this.#timer = afterMs === undefined || then === undefined ? undefined : setTimeout(then, afterMs).unref();
  }

  #spawned(): void {
    this.#spawnedAt = performance.now();
    if (this.#state === 'starting') this.#enter('untried');
    this.#owner.spawned(this);
  }

  #startRunDeadline(request: Request, nowMs: number): void {
    if (request.runTimeoutMs === undefined) return;
    request.runDeadline = this.#runDeadlines.set(request, request.runTimeoutMs, nowMs);
  }

  /** Their caller may have given up before: the child hangs all the same. */
  #overran(requests: readonly Request[]): void {
    const { command } = this.#settings;
    for (const request of requests) {
      const timeoutMs = request.runTimeoutMs ?? 0;
      const error = new TimeoutError({ command, timeoutMs, limit: 'runTimeoutMs', ...this.waitOf(request) });
      request.giveUp('run timeout', error);
      this.#costly = { reason: 'run timeout', error };
    }
    this.reconsider();
  }

  #awaitFirstReply(): void {
    const { startTimeoutMs } = this.#settings;
    this.#timer ??= setTimeout(() => this.#neverAnswers(), startTimeoutMs).unref();
  }

  #neverAnswers(): void {
    const { command, startTimeoutMs } = this.#settings;
    const limit = 'startTimeoutMs';
    const error = new TimeoutError({
      command,
      timeoutMs: startTimeoutMs,
      phase: 'start',
      limit,
      childAgeMs: this.uptimeMs,
    });
    this.#inFlight.first?.reject(error);
    this.end('ended', this.#endedFor(`it had not answered ${startTimeoutMs} ms after its first request`, error));
  }

  #firstReply(): void {
    if (this.#state === 'untried') this.#enter('serving');
    else if (this.#state === 'draining') this.#enter('draining');
    const nowMs = performance.now();
    for (const request of this.#inFlight.written) this.#startRunDeadline(request, nowMs);
  }

  /** All messages of a chunk before anything else: a second answer in it must not meet the next request. */
  #receiveChunk(chunk: Buffer): void {
    if (this.#state === 'over') return;
    const before = this.#replies;
    this.#isParsing = true;
    try {
      this.#parser.write(chunk);
      for (let message = this.#parser.next(); message !== undefined; message = this.#parser.next()) {
        this.#receive(message);
        // User code that was called may have ended it.
        if (this.#isOver) break;
      }
    } catch (error) {
      this.#isParsing = false;
      this.#brokeProtocol(error as Error);
      return;
    }
    this.#isParsing = false;
    if (this.#replies === before || this.#isOver) return;
    if (this.#state === 'draining' && !this.#inFlight.isAwaited) this.#endInput();
    this.#owner.changed(this, true);
  }

  // As a method of its own: the checker does not know that what is called in between may change the state.
  get #isOver(): boolean {
    return this.#state === 'over';
  }

  /** The one place between a frame and the request that it answers. */
  #receive(message: Buffer): void {
    const request = this.#inFlight.shift();
    if (request === undefined) {
      this.#refuse(message);
      return;
    }
    this.#replies += 1;
    if (request.runDeadline !== undefined) this.#runDeadlines.clear(request.runDeadline);
    if (this.#replies === 1) this.#firstReply();
    request.resolve(message);
  }

  #refuse(message: Buffer): void {
    const cause = new UnexpectedReplyError({ command: this.#settings.command, messageBytes: message.length });
    this.#owner.unexpected(this, message);
    this.end('misbehaved', this.#endedFor('it sent an unexpected reply', cause));
  }

  #brokeProtocol(error: Error): void {
    this.#inFlight.shift()?.reject(error);
    this.end('misbehaved', this.#endedFor('it broke the protocol', error));
  }

  #endInput(): void {
    this.#enter('leaving', this.#settings.closeTimeoutMs, () => this.#stays());
    this.#port.end();
  }

  #stays(): void {
    this.end('ended', this.#endedFor('it did not leave at the end of its input'));
  }

  #endIfUnwanted(): void {
    const { isOwed, isAwaited } = this.#inFlight;
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
    this.#owner.exited(this, status);
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
    let truncation: unknown;
    try {
      this.#parser.end();
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
    const written = this.#inFlight.takeWritten();
    const unwritten = this.#inFlight.takeUnwritten();
    this.#runDeadlines.end();
    this.#enter('over');
    this.#owner.over(this, { kind, error, isSuccess, uptimeMs, hasAnswered, written, unwritten });
  }
}
