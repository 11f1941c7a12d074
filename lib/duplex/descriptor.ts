/**
 * One of the child's descriptors from 3 on, as a stream of ours that is there before the child.
 *
 * What the child writes is drained until somebody asks for the stream, so that nobody need read it; what is left of it at
 * the child's end is taken whether or not the reader is ready, so that nobody who does not read holds up the end.
 */
import type * as node from 'node:stream';
import type { DescriptorUse } from '../process/child-spec';
import { SilenceClock } from '../process/silence-clock';
import { Duplex } from '../streams';
import { guardListeners } from '../user-code';
import { ChildInput } from './child-input';
import { destroyedError } from './write-callbacks';

/** What is given to the user: a listener that throws does not keep us from draining, nor from what depends on its end. */
class DescriptorStream extends guardListeners(Duplex) {}

export interface DescriptorSettings {
  readonly use: DescriptorUse;
  readonly highWaterMark: number;
  /** How long, after the exit, a descendant that holds it is waited for. */
  readonly graceMs: number;
  /** The child would take what it has had for all of it: it must not see an end. */
  readonly onCut: (error: Error | null) => void;
}

export class Descriptor {
  readonly #settings: DescriptorSettings;
  readonly #input: ChildInput;
  readonly #clock: SilenceClock;
  /** `leaving`: the child is gone, and what it wrote is still on the way. */
  #state: 'waiting' | 'open' | 'leaving' | 'over' = 'waiting';
  /** Our end. */
  #end: node.Duplex | undefined;
  #stream: node.Duplex | undefined;

  constructor(settings: DescriptorSettings) {
    this.#settings = settings;
    this.#input = new ChildInput(() => undefined, settings.onCut);
    this.#clock = new SilenceClock(settings.graceMs, () => this.release());
  }

  /** Made when first asked for: what is asked for must be read, since from then on it holds the child back. */
  get stream(): node.Duplex {
    if (this.#stream === undefined) {
      const { use, highWaterMark } = this.#settings;
      const sides = { readable: use !== 'in', writable: use !== 'out', highWaterMark };
      this.#stream = new DescriptorStream({
        ...sides,
        read: () => void this.#end?.resume(),
        write: (chunk: Buffer, _encoding, callback) => this.#input.write([chunk], callback),
        writev: (entries, callback) => {
          const chunks = entries.map(({ chunk }) => chunk as Buffer);
          this.#input.write(chunks, callback);
        },
        final: (callback) => {
          this.#input.end();
          callback();
        },
        destroy: (error, callback) => {
          this.#left(error);
          callback(error);
        },
      });
      if (this.#input.isCut) this.#stream.destroy();
      else if (this.#state === 'over') this.#finish();
    }
    return this.#stream;
  }

  attach(end: node.Duplex): void {
    if (this.#state !== 'waiting') return;
    const { use } = this.#settings;
    this.#state = 'open';
    this.#end = end;
    // What the child has closed one way it may use the other way.
    (end as { allowHalfOpen?: boolean }).allowHalfOpen = use === 'duplex';
    end.on('error', () => undefined);
    if (use !== 'out') this.#input.attach(end);
    if (use === 'in') {
      // A socket that is read tells that the child has closed it.
      end.resume();
      return;
    }
    end.on('data', (chunk: Buffer) => this.#take(chunk));
    end.once('end', () => this.#finish());
    end.once('close', () => this.release());
  }

  /** The child is gone: what the kernel still holds is little and comes at once. */
  exited(): void {
    if (this.#state !== 'open') return;
    this.#state = 'leaving';
    if (this.#settings.use === 'in') this.release();
    this.#end?.resume();
    this.#clock.start();
  }

  /**
   * The port is destroyed: what was still to be written never will be. Our end stays open until the child is gone, which
   * must not take that for the end of its input.
   */
  cut(): void {
    const { use } = this.#settings;
    // What the child has written both ways is still there for its reader.
    if (use === 'out' || this.#stream?.writableFinished === true || (use === 'duplex' && this.#hasExited)) return;
    // In this order: a stream that is destroyed has no error of a write.
    this.#stream?.destroy();
    this.#input.cut(destroyedError());
  }

  /** Nothing more is taken or given; what was taken is still there for its reader. */
  release(): void {
    this.#state = 'over';
    this.#clock.stop();
    this.#finish();
    this.#end?.destroy();
  }

  get #hasExited(): boolean {
    return this.#state === 'leaving' || this.#state === 'over';
  }

  #finish(): void {
    const stream = this.#stream;
    if (stream?.readable === true && this.#settings.use !== 'in') stream.push(null);
  }

  #take(chunk: Buffer): void {
    const stream = this.#stream;
    if (stream === undefined || stream.destroyed || this.#state === 'over') return;
    if (!stream.push(chunk) && !this.#hasExited) this.#end?.pause();
  }

  /** The user has destroyed the stream, or it is over. */
  #left(error: Error | null): void {
    // A reader that leaves must not leave the child blocked.
    this.#end?.resume();
    const { use, onCut } = this.#settings;
    const isWhole = use === 'out' || this.#stream?.writableFinished === true;
    if (!isWhole && !this.#hasExited && !this.#input.isClosed && !this.#input.isCut) onCut(error);
  }
}
