/** The child's stdin, as the writable side of a port sees it. */
import type { Writable } from 'node:stream';
import { isBrokenPipe } from '../broken-pipe';
import { RexPortError } from '../errors';

export type Callback = (error?: Error | null) => void;

/** For bytes that would be lost in silence. */
function refusal(bytes: number): Error {
  const sentence = `a redirected program reads its source itself: it takes none of ${bytes} bytes written to its port`;
  return new RexPortError('ERR_REXPORT_INPUT_CLOSED', sentence);
}

export class ChildInput {
  /** Bytes that the kernel has taken for the child. */
  bytesWritten = 0;
  /** Bytes of the chunks that it has not taken whole. */
  bytesDropped = 0;
  /** Whether the child takes no more: chunks are then counted and dropped. */
  isClosed = false;

  readonly #onClosed: () => void;
  readonly #onError: (error: Error) => void;
  /** undefined until there is a child; null where what it reads does not come from us. */
  #stdin: Writable | null | undefined;
  /** Our end of its stdin, while another child writes there. */
  #lent: Writable | undefined;
  /** What came before the child; a Writable hands over the next only after this one's callback. */
  #held: { readonly run: () => void; readonly callback?: Callback } | undefined;
  #isEnding = false;

  /**
   * @param onClosed called once, when it is noticed that the child takes no more
   * @param onError called for a failure of the pipe that is no such closing
   */
  constructor(onClosed: () => void, onError: (error: Error) => void) {
    this.#onClosed = onClosed;
    this.#onError = onError;
  }

  get hasChild(): boolean {
    return this.#stdin !== undefined;
  }

  /** Bytes of all that was written. */
  get bytesSeen(): number {
    return this.bytesWritten + this.bytesDropped;
  }

  /** Whether the child's input does not pass through us, and cannot be counted. */
  get isBypassed(): boolean {
    return this.#stdin === null;
  }

  /** The child is there: what was held goes to it first. */
  attach(stdin: Writable | null): void {
    this.#stdin = stdin;
    stdin?.on('error', (error) => this.#failed(error));
    const held = this.#held;
    this.#held = undefined;
    held?.run();
  }

  /** @param callback called once: the kernel has taken the chunks, or nobody ever will */
  write(chunks: readonly Buffer[], callback: Callback): void {
    const stdin = this.#stdin;
    if (stdin === undefined) {
      this.#held = { run: () => this.write(chunks, callback), callback };
      return;
    }
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    if (stdin === null) {
      callback(bytes === 0 ? null : refusal(bytes));
      return;
    }
    if (this.isClosed) {
      this.bytesDropped += bytes;
      callback();
      return;
    }
    // Corked, many small chunks leave in one system call; one alone would only take the longer way.
    if (chunks.length > 1) stdin.cork();
    chunks.forEach((chunk, index) => {
      if (index < chunks.length - 1) stdin.write(chunk);
      else stdin.write(chunk, (error) => this.#written(bytes, error, callback));
    });
    stdin.uncork();
  }

  /** Closes the child's stdin; all that was written has been acknowledged by then. */
  end(): void {
    if (this.#stdin === undefined) {
      this.#held = { run: () => this.end() };
      return;
    }
    this.#isEnding = true;
    this.#stdin?.end();
    // Not `end`, which would also cut off whoever else holds it.
    this.#lent?.destroy();
  }

  /**
   * Another child is to write in our place. We keep a copy open until our own `end`, so that the end of that child is
   * judged before ours sees the end of its input.
   * @returns undefined where there is no pipe that nobody has written to
   */
  lend(): Writable | undefined {
    if (!this.#stdin || this.#stdin.destroyed || this.isClosed || this.bytesSeen > 0) return undefined;
    this.#lent = this.#stdin;
    this.#stdin = null;
    return this.#lent;
  }

  /** Finds out whether the child still takes input from who was lent its stdin: a write of nothing fails where not. */
  probe(done: () => void): void {
    const pipe = this.#lent;
    if (pipe === undefined || pipe.destroyed) {
      done();
      return;
    }
    pipe.write('', (error) => {
      if (error) this.#close();
      done();
    });
  }

  /** There will be no child for what is held. */
  release(error: Error | null): void {
    this.#held?.callback?.(error);
    this.#held = undefined;
  }

  #written(bytes: number, error: Error | null | undefined, callback: Callback): void {
    // Node ends a write that was half done when the pipe was destroyed without an error.
    const wasCut = this.#stdin?.destroyed === true;
    if (!error && !wasCut) {
      this.bytesWritten += bytes;
      callback();
    } else if (error && !isBrokenPipe(error)) {
      callback(error);
    } else {
      this.bytesDropped += bytes;
      this.#close();
      callback();
    }
  }

  #failed(error: Error): void {
    if (!isBrokenPipe(error)) this.#onError(error);
    // Everything was taken before the end of input was sent: that it came too late loses nothing.
    else if (!this.#isEnding) this.#close();
  }

  #close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#onClosed();
  }
}
