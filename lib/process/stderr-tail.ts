/**
 * The child's stderr: always drained, so that a chatty child never blocks; the last bytes kept, for the error; and for
 * those who ask, a stream of it that exists before the spawn.
 */
import type * as node from 'node:stream';
import { Readable } from '../streams';
import { guardListeners } from '../user-code';
import { SilenceClock } from './silence-clock';

const NEWLINE = 0x0a;

/** What is given to those who ask for it: a listener that throws does not keep us from draining, nor from what depends on its end. */
class StderrStream extends guardListeners(Readable) {}

export class StderrTail {
  readonly #limitBytes: number;
  readonly #onDone: () => void;
  readonly #clock: SilenceClock;
  #ring: Buffer | undefined;
  #bytesSeen = 0;
  #source: node.Readable | undefined;
  #stream: node.Readable | undefined;
  #hasExited = false;
  #isLeft = false;
  #isDone = false;

  /** @param graceMs how long stderr is waited for after the exit; a descendant may hold it open much longer. */
  constructor(limitBytes: number, graceMs: number, onDone: () => void) {
    this.#limitBytes = limitBytes;
    this.#onDone = onDone;
    this.#clock = new SilenceClock(graceMs, () => this.#waitedEnough());
  }

  get isDone(): boolean {
    return this.#isDone;
  }

  /** Made when first asked for: what is asked for must be read, since from then on it holds the child back. */
  get stream(): node.Readable {
    if (this.#stream === undefined) {
      const resume = (): void => void this.#source?.resume();
      this.#stream = new StderrStream({
        read: resume,
        // A reader that leaves must not leave the child blocked.
        destroy(error, callback) {
          resume();
          callback(error);
        },
      });
      if (this.#isDone) this.#stream.push(null);
    }
    return this.#stream;
  }

  attach(source: node.Readable | null): void {
    if (source === null) {
      this.release();
      return;
    }
    this.#source = source;
    source.on('data', (chunk: Buffer) => this.#take(chunk));
    source.once('close', () => this.release());
    source.on('error', () => undefined);
  }

  /** The child is gone: what the kernel still holds is little and comes at once, whether or not the reader is ready. */
  exited(): void {
    this.#hasExited = true;
    if (this.#isDone) return;
    this.#source?.resume();
    this.#clock.start();
  }

  /** Nothing more is taken; the stream ends after what it has. */
  release(): void {
    this.#finish();
    this.#source?.destroy();
  }

  /** stdout is complete, or nobody wants it: descendants that still hold stderr are no longer waited for. */
  leave(): void {
    this.#isLeft = true;
    if (this.#isDone) this.#source?.destroy();
  }

  /** The last bytes as text; what is cut off is cut at the border of a line where there is one. */
  text(): string {
    const ring = this.#ring;
    if (ring === undefined) return '';
    if (this.#bytesSeen <= this.#limitBytes) return ring.toString('utf8', 0, this.#bytesSeen);
    const start = this.#bytesSeen % ring.length;
    const tail = Buffer.concat([ring.subarray(start), ring.subarray(0, start)]);
    const border = tail.indexOf(NEWLINE);
    const lines = tail.toString('utf8', border + 1);
    return border !== -1 && lines.trim() !== '' ? lines : withinLine(tail.subarray(1));
  }

  /** Descendants that go on printing on stdout may do so on stderr too: it is drained, though nobody listens any more. */
  #waitedEnough(): void {
    this.#finish();
    if (this.#isLeft) this.#source?.destroy();
    else this.#source?.resume();
  }

  #finish(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#clock.stop();
    this.#stream?.push(null);
    this.#onDone();
  }

  #take(chunk: Buffer): void {
    if (this.#isDone) return;
    this.#keep(chunk);
    const stream = this.#stream;
    if (stream === undefined || stream.destroyed) return;
    if (!stream.push(chunk) && !this.#hasExited) this.#source?.pause();
  }

  #keep(chunk: Buffer): void {
    if (this.#limitBytes === 0) return;
    // One byte more than is asked for: it tells whether the rest begins with a line.
    const ring = (this.#ring ??= Buffer.allocUnsafeSlow(this.#limitBytes + 1));
    const kept = chunk.subarray(Math.max(0, chunk.length - ring.length));
    const position = (this.#bytesSeen + chunk.length - kept.length) % ring.length;
    const untilEnd = kept.copy(ring, position);
    kept.copy(ring, 0, untilEnd);
    this.#bytesSeen += chunk.length;
  }
}

/** Bytes that were cut off somewhere, as text from the first whole character on. */
function withinLine(bytes: Buffer): string {
  const start = bytes.findIndex((byte) => (byte & 0b1100_0000) !== 0b1000_0000);
  return start === -1 ? '' : bytes.toString('utf8', start);
}
