/** The child's stdout, as the readable side of a port sees it. */
import type { Readable } from 'node:stream';
import { SilenceClock } from '../process/silence-clock';
import type { KeptEnd } from '../process/stdio-pipes';

export interface ChildOutputEvents {
  /** Takes a chunk; the result says whether more is wanted. */
  readonly push: (chunk: Buffer) => boolean;
  /** Called once: no more chunks will come. */
  readonly onDone: () => void;
  readonly onError: (error: Error) => void;
}

/** How much is read on, and for how long, when the reader takes no more: enough to see a program end by itself. */
const READ_ON_BYTES = 256 * 1024;
const READ_ON_MS = 150;

/** `idle`: the reader has enough, for now. `discarding`: the port is destroyed, but the child may flush what it has. */
type State = 'idle' | 'flowing' | 'discarding' | 'done';

export class ChildOutput {
  bytesRead = 0;

  readonly #events: ChildOutputEvents;
  /** A descendant that holds stdout after the exit must not keep the reader waiting; one that still prints may. */
  readonly #orphanClock: SilenceClock;
  #state: State = 'idle';
  /** undefined until there is a child; null where what it writes does not come to us. */
  #source: Readable | null | undefined;
  #hasExited = false;
  /** Where the child writes to another one, over a pipe of ours. */
  #keptEnd: KeptEnd | undefined;
  /** Once the reader takes no more: what may still come. */
  #readingOn: { bytesLeft: number; readonly clock: SilenceClock; readonly onLimit: () => void } | undefined;

  constructor(orphanGraceMs: number, events: ChildOutputEvents) {
    this.#events = events;
    this.#orphanClock = new SilenceClock(orphanGraceMs, () => this.leave());
  }

  get isDone(): boolean {
    return this.#state === 'done';
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
    if (this.#state === 'idle') source.pause();
  }

  /** The child is about to write to another one. The end of that pipe is closed with this output. */
  keepEnd(end: KeptEnd): void {
    this.#keptEnd = end;
  }

  /** The reader wants more. */
  demand(): void {
    if (this.#state === 'idle') this.#state = 'flowing';
    this.#source?.resume();
    this.#watchForOrphans();
  }

  exited(): void {
    this.#hasExited = true;
    if (this.#source === null) this.#finish();
    this.#watchForOrphans();
  }

  /**
   * The reader takes no more, and drops what it is given. The output goes on to it as before, to the end if that is near:
   * the way in which the program ends is then its own.
   * @param onLimit called once, before our end is closed: the output has not ended within 256 KiB or 150 ms. At once
   *   where it goes elsewhere and we have no end of it.
   */
  readOn(onLimit: () => void): void {
    if (this.isDone || this.#readingOn) return;
    const clock = new SilenceClock(READ_ON_MS, () => this.#stopReadingOn());
    this.#readingOn = { bytesLeft: READ_ON_BYTES, clock, onLimit };
    if (this.#source !== null || this.#readOnBetween(clock)) clock.start();
    else this.#stopReadingOn();
  }

  /** @returns whether there is an end of ours of the pipe between the two */
  #readOnBetween(clock: SilenceClock): boolean {
    const onBytes = (bytes: number): void => this.#countReadOn(bytes);
    // A child that has closed its stdout is not stopped, whatever it does until its exit.
    return this.#keptEnd?.readOn(onBytes, () => clock.stop()) ?? false;
  }

  /** Closes our end: the child's next write meets a broken pipe. */
  leave(): void {
    this.#source?.destroy();
    this.#finish();
  }

  /** Nobody reads any more, but a child that is asked to end may flush what it has. */
  discard(): void {
    if (this.isDone) return;
    this.#state = 'discarding';
    this.#stopClocks();
    this.#keptEnd?.close();
    this.#source?.removeAllListeners('data');
    this.#source?.resume();
  }

  #watchForOrphans(): void {
    if (this.#hasExited && this.#state === 'flowing') this.#orphanClock.start();
  }

  #take(chunk: Buffer): void {
    // What its stream had buffered when our end was closed.
    if (this.#state === 'done' || this.#state === 'discarding') return;
    this.bytesRead += chunk.length;
    // The reader may ask for more while it is given this, or destroy the port.
    this.#state = 'idle';
    if (this.#events.push(chunk)) this.demand();
    else if (this.#isIdle) {
      this.#orphanClock.stop();
      this.#source?.pause();
    }
    this.#countReadOn(chunk.length);
  }

  #countReadOn(bytes: number): void {
    const limits = this.#readingOn;
    if (limits && (limits.bytesLeft -= bytes) <= 0) this.#stopReadingOn();
  }

  /** As a method, since the checker takes a field for unchanged by a call. */
  get #isIdle(): boolean {
    return this.#state === 'idle';
  }

  #stopReadingOn(): void {
    if (this.#state === 'done' || this.#state === 'discarding') return;
    this.#readingOn?.onLimit();
    this.leave();
  }

  #finish(): void {
    if (this.isDone) return;
    this.#state = 'done';
    this.#stopClocks();
    this.#keptEnd?.close();
    this.#events.onDone();
  }

  #stopClocks(): void {
    this.#orphanClock.stop();
    this.#readingOn?.clock.stop();
  }
}
