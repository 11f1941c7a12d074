/** One child's life: its stream, the requests it holds, in order, and its replies. */
import { PortDuplex } from '../duplex/port-duplex';
import { ExitError, InputClosedError } from '../errors';
import { FrameParser } from '../framing/frame-parser';
import { FrameWriter } from '../framing/frame-writer';
import { withTruncation } from './after-death';
import { Farewell } from './farewell';
import { InFlight } from './in-flight';
import type { OpenedChild } from './open-child';
import { UnexpectedReplyError } from './port-errors';
import type { EndKind, SessionEvents, SessionSettings } from './session-events';
import type { Request, RequestHolder, RequestPhase } from './request';

export class Session implements RequestHolder {
  readonly generation: number;
  /** Resolves when the child is gone. */
  readonly closed: Promise<unknown>;
  /** Requests that this child was given. */
  sent = 0;

  readonly #settings: SessionSettings;
  readonly #events: SessionEvents;
  readonly #port: OpenedChild;
  readonly #parser: FrameParser;
  readonly #writer: FrameWriter;
  readonly #inFlight = new InFlight();
  readonly #farewell: Farewell;
  #isFlushDue = false;
  #isReady = false;
  #isLeaving = false;
  #isOver = false;
  #spawnedAt = 0;
  #replies = 0;
  #leaveTimer: NodeJS.Timeout | undefined;

  constructor(generation: number, settings: SessionSettings, events: SessionEvents) {
    this.generation = generation;
    this.#settings = settings;
    this.#events = events;
    this.#parser = new FrameParser(settings.format);
    this.#writer = new FrameWriter(settings.format);
    const { command, args, spawnOptions } = settings;
    // No exit code is a success here: how the child ended is told by one event, whatever it was.
    const port: OpenedChild =
      settings.open?.(settings) ?? new PortDuplex(command, args, { ...spawnOptions, successCodes: [] }).unref();
    this.#port = port;
    this.closed = new Promise((resolve) => port.once('close', resolve));
    port.on('data', (chunk: Buffer) => this.#take(chunk));
    port.once('spawn', () => this.#spawned());
    this.#farewell = new Farewell(port, settings.farewellMs, {
      begun: () => (this.#isReady = false),
      livesOn: (hasClosedOutput) => this.#livesOn(hasClosedOutput),
    });
    port.once('exit', (exitCode: number | null, signal: NodeJS.Signals | null) => {
      this.#isReady = false;
      // How it ended is known; the error that says so comes within the bounds of the stream.
      clearTimeout(this.#leaveTimer);
      events.exited({ exitCode, signal, durationMs: this.#uptimeMs });
    });
    port.once('error', (error) => this.#died(error));
  }

  get pid(): number | undefined {
    return this.#port.pid;
  }

  /** How many more requests it takes now. */
  get room(): number {
    if (!this.#isReady || this.#isLeaving || this.#isOver || this.#inFlight.hasSuspect) return 0;
    return this.#settings.maxInFlight - this.#inFlight.length;
  }

  /** Bytes to the child and from it, prefixes included. */
  get bytesWritten(): number {
    return this.#port.bytesWritten ?? 0;
  }

  get bytesRead(): number {
    return this.#port.bytesRead ?? 0;
  }

  /** Whether the child has shown that it is well: it has answered, or lived for so long. */
  isProven(minUptimeMs: number): boolean {
    return this.#replies > 0 || this.#uptimeMs >= minUptimeMs;
  }

  /** Requests in flight, the abandoned ones too. */
  get length(): number {
    return this.#inFlight.length;
  }

  get #uptimeMs(): number {
    return this.#spawnedAt === 0 ? 0 : performance.now() - this.#spawnedAt;
  }

  /** Leaves at once where it goes alone; else those of one tick leave as one chunk, when the one before is done. */
  send(request: Request): void {
    request.holder = this;
    this.sent += 1;
    this.#inFlight.push(request);
    if (this.#isFlushDue || this.#inFlight.isBatchOut) return;
    if (this.#settings.maxInFlight === 1) {
      this.#flush();
      return;
    }
    this.#isFlushDue = true;
    process.nextTick(() => {
      this.#isFlushDue = false;
      this.#flush();
    });
  }

  /** Takes no more, finishes what it has begun, and leaves at the end of its input. @returns what it had not begun */
  leave(): Request[] {
    this.#isLeaving = true;
    const unwritten = this.#inFlight.takeUnwritten();
    this.#leaveIfDone();
    return unwritten;
  }

  /** Ends the child now. What it holds is handed back with the reason. */
  end(kind: EndKind, error: Error): void {
    this.#end(kind, error, false);
    this.#port.destroy();
  }

  abandoned(request: Request, reason: 'timeout' | 'abort'): void {
    const isWritten = this.#inFlight.isWritten(request);
    // The late reply of a request would answer the next one; that of an aborted one comes soon, and is swallowed.
    if (isWritten && reason === 'timeout') {
      this.end('ended', this.#endedFor('another request timed out', request.error));
      return;
    }
    // Those of this tick will have been written; what a full pipe keeps back need not wait for a reply that may never come.
    if (this.#inFlight.unwritten.length > 0) setImmediate(() => this.#endIfUnwanted());
    else this.#endIfUnwanted();
    if (!isWritten) this.#events.progressed(0);
  }

  phaseOf(request: Request): RequestPhase {
    if (!this.#inFlight.isWritten(request)) return 'queue';
    const { isGoingOut, isFirst } = this.#inFlight.placeOf(request);
    if (isGoingOut) return 'write';
    return isFirst && this.#parser.isInsideMessage ? 'body' : 'header';
  }

  #spawned(): void {
    this.#spawnedAt = performance.now();
    this.#isReady = true;
    this.#events.spawned();
  }

  #flush(): void {
    // A child that has closed a pipe is dying: what it was not given goes to the next.
    if (this.#inFlight.isBatchOut || !this.#isReady || this.#isOver) return;
    const { length } = this.#inFlight;
    this.#write(this.#inFlight.writeBatch(this.#writer));
    // What could not be framed, or was given up, has made room.
    if (this.#inFlight.length < length) this.#events.progressed(0);
  }

  #write(chunks: Buffer[]): void {
    const last = chunks.pop();
    if (last === undefined) return;
    const port = this.#port;
    // Corked, the pieces of a batch leave in one system call.
    if (chunks.length > 0) port.cork();
    for (const chunk of chunks) port.write(chunk);
    port.write(last, () => {
      this.#inFlight.batchTaken();
      this.#flush();
    });
    if (chunks.length > 0) port.uncork();
  }

  /** All messages of a chunk before anything else: a second answer in it must not meet the next request. */
  #take(chunk: Buffer): void {
    if (this.#isOver) return;
    const before = this.#replies;
    try {
      this.#parser.write(chunk);
      for (let message = this.#parser.next(); message !== undefined; message = this.#parser.next()) {
        const request = this.#inFlight.shift();
        if (request === undefined) {
          this.#refuse(message);
          return;
        }
        this.#replies += 1;
        request.resolve(message);
      }
    } catch (error) {
      this.#inFlight.shift()?.reject(error as Error);
      this.end('misbehaved', this.#endedFor('it broke the protocol', error as Error));
      return;
    }
    if (this.#replies === before) return;
    this.#leaveIfDone();
    this.#events.progressed(this.#replies - before);
  }

  #refuse(message: Buffer): void {
    const cause = new UnexpectedReplyError({ command: this.#settings.command, messageBytes: message.length });
    this.#events.unexpected(message);
    this.end('misbehaved', this.#endedFor('it sent an unexpected reply', cause));
  }

  #leaveIfDone(): void {
    if (!this.#isLeaving || this.#isOver || this.#inFlight.written.length > 0 || this.#port.writableEnded) return;
    this.#farewell.end();
    this.#port.end();
    const expire = (): void => this.end('ended', this.#endedFor('it did not leave at the end of its input'));
    this.#leaveTimer = setTimeout(expire, this.#settings.closeTimeoutMs).unref();
  }

  #endIfUnwanted(): void {
    const { isOwed, written } = this.#inFlight;
    if (isOwed && written.length === 0) this.end('ended', this.#endedFor('its last request was aborted'));
  }

  #livesOn(hasClosedOutput: boolean): void {
    const { command } = this.#settings;
    if (hasClosedOutput) this.end('misbehaved', this.#endedFor('it closed its output'));
    else this.end('misbehaved', new InputClosedError({ command, bytesDropped: this.#port.bytesDropped ?? 0 }));
  }

  #died(error: Error): void {
    const { exitCode } = this.#port;
    const isSuccess = exitCode !== null && this.#settings.successCodes.includes(exitCode);
    // At the end of its input it left because we asked.
    const kind = this.#port.writableEnded ? 'ended' : 'died';
    this.#end(kind, withTruncation(error, this.#parser, isSuccess), isSuccess);
  }

  #endedFor(reason: string, cause?: Error): ExitError {
    const { command } = this.#settings;
    const durationMs = this.#uptimeMs;
    return new ExitError({ command, exitCode: null, signal: null, reason, durationMs, stderrTail: '', cause });
  }

  #end(kind: EndKind, error: Error, isSuccess: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#farewell.end();
    clearTimeout(this.#leaveTimer);
    const { written, unwritten } = this.#inFlight;
    this.#inFlight.clear();
    const hasAnswered = this.#replies > 0;
    this.#events.ended({ kind, error, isSuccess, uptimeMs: this.#uptimeMs, hasAnswered, written, unwritten });
  }
}
