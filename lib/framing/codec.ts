/** What the streams of frames share: the encoder and the decoder, of any framing. */
import type * as node from 'node:stream';
import { integer } from '../options';
import { Transform } from '../streams';
import { guardListeners } from '../user-code';

export type WriteCallback = (error?: Error | null) => void;

export interface CodecOptions {
  readonly highWaterMark?: number | undefined;
  readonly writableHighWaterMark?: number | undefined;
  readonly readableHighWaterMark?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export const CODEC_KEYS = [
  'highWaterMark',
  'writableHighWaterMark',
  'readableHighWaterMark',
  'signal',
] as const satisfies readonly (keyof CodecOptions)[];

/**
 * A Transform whose listeners may throw: what they throw reaches the process as their own (`uncaughtException`), and the
 * stream goes on. In the midst of a write it would leave a Transform that never calls back and never ends.
 */
export class Codec extends guardListeners(Transform) {}

/** An error that waits until the reader has been given all that came before it. */
export class LastFailure {
  error: Error | undefined;
  /** Whether the reader has asked, was told that there is nothing, and nothing has come since. */
  readerWaits = false;
  readonly #stream: node.Transform;
  readonly #hasMore: () => boolean;

  /** @param hasMore whether the reader has not been given everything yet */
  constructor(stream: node.Transform, hasMore: () => boolean) {
    this.#stream = stream;
    this.#hasMore = hasMore;
  }

  raise(error: Error): void {
    this.error ??= error;
    this.settle();
  }

  /** A reader that has everything and wants more, or that was never given anything, loses nothing by the failure. */
  settle(): void {
    const stream = this.#stream;
    if (this.error === undefined || stream.destroyed || this.#hasMore()) return;
    if (this.readerWaits || stream.readableFlowing === true || !stream.readableDidRead) stream.destroy(this.error);
    else process.nextTick(() => this.#announce());
  }

  /** To be called with what each `read` of the stream returned. */
  wasRead(chunk: unknown, size: number | undefined): void {
    if (chunk !== null) {
      if (this.error !== undefined && !this.#hasMore()) process.nextTick(() => this.#announce());
    } else if (size !== 0) {
      this.readerWaits = true;
      this.settle();
    }
  }

  /** As at the end of any stream: a reader that waits for the event asks then. */
  #announce(): void {
    if (!this.#stream.destroyed && this.#stream.listenerCount('readable') > 0) this.#stream.emit('readable');
  }
}

/** The marks as numbers. `highWaterMark` stands above the two others. */
export function marks(options: CodecOptions, usualWritable: number, usualReadable: number) {
  const { highWaterMark, writableHighWaterMark, readableHighWaterMark } = options;
  const mark = (name: string, value: number | undefined, usual: number): number =>
    integer(name, value ?? usual, 0, Number.MAX_SAFE_INTEGER);
  return {
    writableHighWaterMark: mark('writableHighWaterMark', highWaterMark ?? writableHighWaterMark, usualWritable),
    readableHighWaterMark: mark('readableHighWaterMark', highWaterMark ?? readableHighWaterMark, usualReadable),
  };
}
