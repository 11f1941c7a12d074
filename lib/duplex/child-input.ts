/** The child's stdin, as the writable side of a port sees it. */
import type { Writable } from 'node:stream';
import { isBrokenPipe } from '../broken-pipe';
import { RexPortError } from '../errors';

export type Callback = (error?: Error | null) => void;

type State =
  /** There is no child yet. What came before it waits; a Writable hands over the next only after this one's callback. */
  | { readonly name: 'waiting'; readonly held?: () => void }
  | { readonly name: 'open'; readonly stdin: Writable }
  /** All was taken, and the end of input is sent. */
  | { readonly name: 'ended' }
  /** The child reads a file or nothing. */
  | { readonly name: 'elsewhere' }
  /** Another child writes to the pipe. */
  | { readonly name: 'shared'; readonly pipe: Writable }
  /** The child takes no more: chunks are counted and dropped. */
  | { readonly name: 'closed' }
  /** The port is destroyed. The pipe itself stays open until the child is gone. */
  | { readonly name: 'cut'; readonly error: Error };

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
  /** Whether the child's input does not pass through us, and cannot be counted. */
  isBypassed = false;

  readonly #onClosed: () => void;
  readonly #onError: (error: Error) => void;
  #state: State = { name: 'waiting' };
  /** Of the write that is held or on its way. */
  #callback: Callback | undefined;

  /**
   * @param onClosed called once, when it is noticed that the child takes no more
   * @param onError called for a failure of the pipe that is no such closing
   */
  constructor(onClosed: () => void, onError: (error: Error) => void) {
    this.#onClosed = onClosed;
    this.#onError = onError;
  }

  get hasChild(): boolean {
    return this.#state.name !== 'waiting';
  }

  /** Whether it was noticed that the child takes no more. */
  get isClosed(): boolean {
    return this.#state.name === 'closed';
  }

  get isCut(): boolean {
    return this.#state.name === 'cut';
  }

  /** The child is there: what was held goes to it first. */
  attach(stdin: Writable | null): void {
    const state = this.#state;
    if (state.name !== 'waiting') return;
    this.isBypassed = stdin === null;
    this.#state = stdin === null ? { name: 'elsewhere' } : { name: 'open', stdin };
    stdin?.on('error', (error) => this.#failed(error));
    state.held?.();
  }

  /** @param callback called once: the kernel has taken the chunks, or nobody ever will */
  write(chunks: readonly Buffer[], callback: Callback): void {
    this.#callback = callback;
    const state = this.#state;
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    switch (state.name) {
      case 'waiting':
        this.#state = { name: 'waiting', held: () => this.write(chunks, callback) };
        break;
      case 'open':
        this.#send(state.stdin, chunks, bytes);
        break;
      case 'closed':
        this.bytesDropped += bytes;
        this.#acknowledge();
        break;
      case 'cut':
        this.#acknowledge(state.error);
        break;
      default:
        this.#acknowledge(bytes === 0 ? null : refusal(bytes));
    }
  }

  /** Tells the child that its input ends here; all that was written has been acknowledged by then. */
  end(): void {
    const state = this.#state;
    if (state.name === 'waiting') this.#state = { name: 'waiting', held: () => this.end() };
    if (state.name !== 'open' && state.name !== 'shared') return;
    this.#state = { name: 'ended' };
    if (state.name === 'open') state.stdin.end();
    // Not `end`, which would also cut off another process that holds it.
    else state.pipe.destroy();
  }

  /**
   * The port is destroyed: each write that waits is told so. The child is not: it would take the end of its input for
   * the end of all of it.
   */
  cut(error: Error): void {
    this.#state = { name: 'cut', error };
    this.#acknowledge(error);
  }

  /**
   * Another child is to write in our place. We keep a copy open until our own `end`, so that the end of that child is
   * judged before ours sees the end of its input.
   * @returns undefined where there is no pipe that nobody has written to
   */
  shareStdin(): Writable | undefined {
    const state = this.#state;
    if (state.name !== 'open' || state.stdin.destroyed || this.bytesWritten + this.bytesDropped > 0) return undefined;
    this.isBypassed = true;
    this.#state = { name: 'shared', pipe: state.stdin };
    return state.stdin;
  }

  /** Finds out whether the child still takes input from the one that shares its stdin: else a write of nothing fails. */
  probe(done: () => void): void {
    const state = this.#state;
    if (state.name !== 'shared' || state.pipe.destroyed) {
      done();
      return;
    }
    state.pipe.write('', (error) => {
      if (error) this.#close();
      done();
    });
  }

  #send(stdin: Writable, chunks: readonly Buffer[], bytes: number): void {
    // Corked, many small chunks leave in one system call; one alone would only take the longer way.
    if (chunks.length > 1) stdin.cork();
    chunks.forEach((chunk, index) => {
      if (index < chunks.length - 1) stdin.write(chunk);
      else stdin.write(chunk, (error) => this.#written(stdin, bytes, error));
    });
    stdin.uncork();
  }

  #written(stdin: Writable, bytes: number, error: Error | null | undefined): void {
    // Node ends a write that was half done when the pipe was destroyed without an error.
    if (!error && !stdin.destroyed) {
      this.bytesWritten += bytes;
      this.#acknowledge();
    } else if (error && !isBrokenPipe(error)) {
      this.#acknowledge(error);
    } else {
      this.bytesDropped += bytes;
      this.#close();
      this.#acknowledge();
    }
  }

  #acknowledge(error?: Error | null): void {
    const callback = this.#callback;
    this.#callback = undefined;
    callback?.(error);
  }

  #failed(error: Error): void {
    if (this.#state.name === 'cut') return;
    // After the end of input, nothing is lost: all was taken before.
    if (!isBrokenPipe(error)) this.#onError(error);
    else if (this.#state.name === 'open') this.#close();
  }

  #close(): void {
    if (this.#state.name !== 'open' && this.#state.name !== 'shared') return;
    this.#state = { name: 'closed' };
    this.#onClosed();
  }
}
