/** The child's stdout, as the readable side of a port sees it. */
import type { Readable } from 'node:stream';
import { SilenceClock } from '../process/silence-clock';

export interface ChildOutputEvents {
  /** Takes a chunk; the result says whether more is wanted. */
  readonly push: (chunk: Buffer) => boolean;
  /** Called once: no more chunks will come. */
  readonly onDone: () => void;
  readonly onError: (error: Error) => void;
}

export class ChildOutput {
  bytesRead = 0;
  isDone = false;

  readonly #events: ChildOutputEvents;
  /** A descendant that holds stdout after the exit must not keep the reader waiting; one that still prints may. */
  readonly #orphanClock: SilenceClock;
  /** undefined until there is a child; null where what it writes does not come to us. */
  #source: Readable | null | undefined;
  #isWanted = false;
  #hasExited = false;

  constructor(orphanGraceMs: number, events: ChildOutputEvents) {
    this.#events = events;
    this.#orphanClock = new SilenceClock(orphanGraceMs, () => this.leave());
  }

  /** Whether the child's output does not pass through us, and cannot be counted. */
  get isBypassed(): boolean {
    return this.#source === null;
  }

  /** @param source null where the child writes elsewhere: it is then done when it has exited */
  attach(source: Readable | null): void {
    this.#source = source;
    if (source === null) return;
    source.on('data', (chunk: Buffer) => this.#take(chunk));
    source.once('end', () => this.#finish());
    source.once('close', () => this.#finish());
    source.on('error', (error) => this.#events.onError(error));
    // On demand only: a pump without demand buffers whatever the child can print.
    if (!this.#isWanted) source.pause();
  }

  /** The reader wants more. */
  demand(): void {
    this.#isWanted = true;
    this.#source?.resume();
    this.#watchForOrphans();
  }

  exited(): void {
    this.#hasExited = true;
    if (this.#source === null) this.#finish();
    this.#watchForOrphans();
  }

  /** Closes our end: the child's next write meets a broken pipe. */
  leave(): void {
    this.#source?.destroy();
    this.#finish();
  }

  /** Nobody reads any more, but a child that is asked to end may flush what it has. */
  discard(): void {
    this.#orphanClock.stop();
    this.#source?.removeAllListeners('data');
    this.#source?.resume();
  }

  #watchForOrphans(): void {
    if (this.#hasExited && this.#isWanted && !this.isDone) this.#orphanClock.start();
  }

  #take(chunk: Buffer): void {
    this.bytesRead += chunk.length;
    this.#isWanted = this.#events.push(chunk);
    if (this.#isWanted) {
      this.#watchForOrphans();
    } else {
      this.#orphanClock.stop();
      this.#source?.pause();
    }
  }

  #finish(): void {
    if (this.isDone) return;
    this.isDone = true;
    this.#orphanClock.stop();
    this.#events.onDone();
  }
}
