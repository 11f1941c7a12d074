import { integer, refuseUnknown } from '../options';
import { addAbortSignal, Transform } from '../streams';
import { FRAME_FORMAT_KEYS, type FrameFormat } from './format';
import { FrameWriter, type Message } from './frame-writer';
import { InvalidMessageError } from './framing-errors';

export interface LengthPrefixEncoderOptions extends FrameFormat {
  /** Both marks at once, in bytes; stands above the two below. */
  readonly highWaterMark?: number | undefined;
  /** From how many bytes of frames on `write` says false. Default 128 KiB. */
  readonly writableHighWaterMark?: number | undefined;
  /** How many bytes may wait for the reader. Default 128 KiB. */
  readonly readableHighWaterMark?: number | undefined;
  /** Destroys the encoder with an AbortError. */
  readonly signal?: AbortSignal | undefined;
}

type WriteCallback = (error?: Error | null) => void;

const HIGH_WATER_MARK_BYTES = 128 * 1024;
const OPTION_KEYS = [
  ...FRAME_FORMAT_KEYS,
  'highWaterMark',
  'writableHighWaterMark',
  'readableHighWaterMark',
  'signal',
] as const satisfies readonly (keyof LengthPrefixEncoderOptions)[];

const EMPTY = Buffer.alloc(0);

/**
 * Messages in, frames out: one `write`, one message, the empty one too. Takes strings, Buffers and any other view.
 *
 * The messages of one tick leave together, in chunks of up to 144 KiB. A message of at most 16 KiB is copied at once; a
 * longer one is not, and must not change after `write`.
 *
 * A message that is too long (MessageTooLargeError) or no bytes at all (InvalidMessageError) destroys the encoder:
 * nothing of it is sent, and of the messages before it each is sent whole or not at all. Only `null` throws, as
 * everywhere in Node.
 */
export class LengthPrefixEncoder extends Transform {
  readonly #writer: FrameWriter;
  /** Of the messages that are in the writer. */
  #callbacks: WriteCallback[] = [];
  #flushIsDue = false;
  /** Whether `write` said false on account of bytes that Writable has not seen yet. */
  #owesDrain = false;
  #defaultEncoding: BufferEncoding = 'utf8';
  /** The callback of a chunk that was pushed to a full reader. */
  #held: WriteCallback | undefined;

  /** @throws TypeError or RangeError for options that are unknown, out of range or at odds with each other. */
  constructor(options: LengthPrefixEncoderOptions = {}) {
    refuseUnknown('LengthPrefixEncoder', options, OPTION_KEYS);
    const { highWaterMark, writableHighWaterMark, readableHighWaterMark, signal, ...format } = options;
    super({
      writableHighWaterMark: mark('writableHighWaterMark', highWaterMark ?? writableHighWaterMark),
      readableHighWaterMark: mark('readableHighWaterMark', highWaterMark ?? readableHighWaterMark),
    });
    this.#writer = new FrameWriter(format);
    if (signal !== undefined) addAbortSignal(signal, this);
  }

  /** Bytes that wait on this side, prefixes included. */
  override get writableLength(): number {
    return super.writableLength + this.#writer.pendingBytes;
  }

  override get writableNeedDrain(): boolean {
    return super.writableNeedDrain || this.#owesDrain;
  }

  override setDefaultEncoding(encoding: BufferEncoding): this {
    super.setDefaultEncoding(encoding);
    this.#defaultEncoding = encoding;
    return this;
  }

  /*
   * Messages stay out of Writable's queue: there an empty one would count nothing, a DataView or a number would be
   * thrown at the source of a pipe, where nobody catches, and each would cost an object.
   */
  override write(message: Message, callback?: WriteCallback): boolean;
  override write(message: Message, encoding?: BufferEncoding, callback?: WriteCallback): boolean;
  override write(message: Message | null, second?: BufferEncoding | WriteCallback, third?: WriteCallback): boolean {
    const callback = typeof second === 'function' ? second : third;
    const encoding = typeof second === 'string' ? second : this.#defaultEncoding;
    if (message === null) return super.write(message);
    if (this.writableEnded || this.destroyed) return super.write(EMPTY, callback);
    try {
      this.#writer.write(message, encoding);
    } catch (error) {
      if (callback !== undefined) process.nextTick(callback, error);
      this.destroy(error as Error);
      return false;
    }
    if (callback !== undefined) this.#callbacks.push(callback);
    if (!this.#flushIsDue) this.#flushSoon();
    if (this.writableLength < this.writableHighWaterMark) return true;
    this.#owesDrain = !super.writableNeedDrain;
    return false;
  }

  override end(callback?: () => void): this;
  override end(message: Message, callback?: () => void): this;
  override end(message: Message, encoding?: BufferEncoding, callback?: () => void): this;
  override end(
    first?: Message | null | (() => void),
    second?: BufferEncoding | (() => void),
    third?: () => void,
  ): this {
    const callback = [first, second, third].find((argument) => typeof argument === 'function');
    if (first !== undefined && first !== null && typeof first !== 'function') {
      this.write(first, typeof second === 'string' ? second : undefined);
    }
    this.#flush();
    return super.end(callback);
  }

  /** Apart from `write`, which would have to allocate what a closure in it sees, whether it makes one or not. */
  #flushSoon(): void {
    this.#flushIsDue = true;
    process.nextTick(() => this.#flush());
  }

  #flush(): void {
    this.#flushIsDue = false;
    if (this.destroyed) return;
    const chunks = this.#writer.take();
    const last = chunks.pop();
    if (last === undefined) return;
    for (const chunk of chunks) super.write(chunk);
    super.write(last, this.#takeCallbacks());
    if (!this.#owesDrain) return;
    this.#owesDrain = false;
    // Where Writable took some of them in, it says when there is room, and it tells nobody after the end.
    if (!super.writableNeedDrain && this.writable) this.emit('drain');
  }

  #takeCallbacks(): WriteCallback | undefined {
    const callbacks = this.#callbacks;
    if (callbacks.length === 0) return undefined;
    this.#callbacks = [];
    return (error) => {
      for (const callback of callbacks) callback(error);
    };
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: WriteCallback): void {
    // No chunk is empty, unless the memory of a long message was transferred away while it waited.
    if (chunk.length === 0) callback(new InvalidMessageError(chunk, 'whose memory was taken away after `write`'));
    else if (this.push(chunk)) callback();
    else this.#held = callback;
  }

  override _read(): void {
    const held = this.#held;
    this.#held = undefined;
    held?.();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#writer.take();
    // Of a destroyed stream, Writable itself tells each callback so.
    for (const unsent of this.#callbacks) {
      if (error === null) super.write(EMPTY, unsent);
      else process.nextTick(unsent, error);
    }
    this.#callbacks = [];
    if (this.#held !== undefined) process.nextTick(this.#held, error);
    this.#held = undefined;
    callback(error);
  }
}

function mark(name: string, value: number | undefined): number {
  return integer(name, value ?? HIGH_WATER_MARK_BYTES, 0, Number.MAX_SAFE_INTEGER);
}
