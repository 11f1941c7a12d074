import { refuseUnknown } from '../options';
import { addAbortSignal } from '../streams';
import { callUser } from '../user-code';
import { Codec, CODEC_KEYS, LastFailure, marks, type WriteCallback } from './codec';
import { checkFraming, type Framing, type FramingWriter, type Message } from './framing';
import { InvalidMessageError } from './framing-errors';

/** What `new FrameEncoder(framing, options)` takes. All have a default. */
export interface FrameEncoderOptions {
  /** Both marks at once, in bytes; stands above the two below. */
  readonly highWaterMark?: number | undefined;
  /** From how many bytes of frames on `write` says false. Default 128 KiB. */
  readonly writableHighWaterMark?: number | undefined;
  /** How many bytes may wait for the reader. Default 128 KiB. */
  readonly readableHighWaterMark?: number | undefined;
  /** Destroys the encoder with an AbortError. */
  readonly signal?: AbortSignal | undefined;
}

const HIGH_WATER_MARK_BYTES = 128 * 1024;
const EMPTY = Buffer.alloc(0);
const NOTHING = (): void => undefined;

/**
 * Messages in, frames out, in any framing: one `write`, one message, the empty one too. Takes strings, Buffers and any
 * other view, also of another realm.
 *
 * The messages of one tick leave together, in chunks of up to 144 KiB where the framing is one of this package. A message
 * of at most 16 KiB is then copied at once; a longer one is not, and must not change after `write`.
 *
 * A message that the framing refuses, as one that is too long (MessageTooLargeError) or no bytes at all
 * (InvalidMessageError), destroys the encoder: nothing of it is sent, and of the messages before it each is sent whole or
 * not at all. The error then waits for a reader that was given a part of them. Only `null` throws, as everywhere in Node.
 */
export class FrameEncoder extends Codec {
  readonly #writer: FramingWriter;
  /** Of the messages that are in the writer. */
  #callbacks: WriteCallback[] = [];
  #flushIsDue = false;
  /** Whether `write` said false on account of bytes that Writable has not seen yet. */
  #owesDrain = false;
  #defaultEncoding: BufferEncoding = 'utf8';
  /** The callback of a chunk that was pushed to a full reader. */
  #held: WriteCallback | undefined;
  #releaseIsDue = false;
  readonly #failure: LastFailure;

  /** @throws TypeError or RangeError for what is no framing, and for options that are unknown or out of range. */
  constructor(framing: Framing, options: FrameEncoderOptions = {}) {
    checkFraming(framing);
    refuseUnknown('FrameEncoder', options, CODEC_KEYS);
    super(marks(options, HIGH_WATER_MARK_BYTES, HIGH_WATER_MARK_BYTES));
    this.#writer = framing.writer();
    this.#failure = new LastFailure(this, () => this.#isPartlyRead());
    if (options.signal !== undefined) addAbortSignal(options.signal, this);
  }

  /** Bytes that wait on this side, in frames. */
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
    if (this.#failure.error !== undefined) return this.#refuse(this.#failure.error, callback);
    try {
      this.#writer.write(typeof message === 'string' && encoding !== 'utf8' ? Buffer.from(message, encoding) : message);
    } catch (error) {
      return this.#refuse(error as Error, callback);
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
    const callback = [first, second, third].find((argument) => typeof argument === 'function') as
      WriteCallback | undefined;
    if (first !== undefined && first !== null && typeof first !== 'function') {
      this.write(first, typeof second === 'string' ? second : undefined);
    }
    this.#flush();
    if (this.#failure.error !== undefined) {
      // After a refused message there is no good end.
      if (callback !== undefined) process.nextTick(callback, this.#failure.error);
      return this;
    }
    return super.end(callback === undefined ? undefined : (error?: Error | null) => callUser(callback, error));
  }

  #refuse(error: Error, callback: WriteCallback | undefined): false {
    if (callback !== undefined) process.nextTick(callback, error);
    if (this.#isPartlyRead()) this.#failure.raise(error);
    else this.destroy(error);
    return false;
  }

  /** Whether a reader may have had the first bytes of a message, and not its last. */
  #isPartlyRead(): boolean {
    if (!this.readableDidRead) return false;
    return this.readableLength + super.writableLength > 0 || this.#held !== undefined;
  }

  /** Apart from `write`, which would have to allocate what a closure in it sees, whether it makes one or not. */
  #flushSoon(): void {
    this.#flushIsDue = true;
    process.nextTick(() => this.#flush());
  }

  #flush(): void {
    this.#flushIsDue = false;
    if (this.destroyed || this.#failure.error !== undefined) return;
    const chunks = this.#take();
    const last = chunks.pop();
    if (last === undefined) return;
    // Writable has all of them before a listener sees the first, since the listener may end the stream.
    const isSplit = chunks.length > 0;
    if (isSplit) super.cork();
    for (const chunk of chunks) super.write(chunk);
    super.write(last, this.#takeCallbacks());
    if (isSplit) super.uncork();
    if (!this.#owesDrain) return;
    this.#owesDrain = false;
    // Where Writable took some of them in, it says when there is room, and it tells nobody after the end.
    if (!super.writableNeedDrain && this.writable) this.emit('drain');
  }

  #take(): Buffer[] {
    try {
      return this.#writer.take();
    } catch (error) {
      this.#refuse(error as Error, undefined);
      return [];
    }
  }

  #takeCallbacks(): WriteCallback {
    const callbacks = this.#callbacks;
    // Without any callback, Node's own Writable does not notice the end that a listener brought about in the midst of it.
    if (callbacks.length === 0) return NOTHING;
    this.#callbacks = [];
    return (error) => {
      for (const callback of callbacks) callUser(callback, error);
    };
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: WriteCallback): void {
    this.#failure.readerWaits = false;
    // No chunk is empty, unless the memory of a long message was transferred away while it waited.
    if (chunk.length === 0) callback(new InvalidMessageError(chunk, 'whose memory was taken away after `write`'));
    // A listener may have destroyed the stream, and then nobody would call what is held.
    else if (this.push(chunk) || this.destroyed) callback();
    else this.#held = callback;
    this.#failure.settle();
  }

  /** In a tick of its own: the callback runs code of the user, which may read, and Readable is in the midst of a read. */
  override _read(): void {
    if (this.#held === undefined || this.#releaseIsDue) return;
    this.#releaseIsDue = true;
    process.nextTick(() => this.#release());
  }

  #release(): void {
    this.#releaseIsDue = false;
    const held = this.#held;
    this.#held = undefined;
    held?.();
    this.#failure.settle();
  }

  // Anything narrower, as `Buffer | null`, is no stream to the declarations of `pipeline`.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  override read(size?: number): any {
    const chunk: unknown = super.read(size);
    this.#failure.wasRead(chunk, size);
    return chunk;
  }

  override _destroy(error: Error | null, callback: WriteCallback): void {
    this.#take();
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
