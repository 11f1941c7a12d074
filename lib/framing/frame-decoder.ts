import { refuseUnknown, shown } from '../options';
import { addAbortSignal } from '../streams';
import { callUser } from '../user-code';
import { Codec, CODEC_KEYS, LastFailure, marks, type WriteCallback } from './codec';
import { checkFraming, type Framing, type FramingParser, viewOf } from './framing';
import { InvalidMessageError } from './framing-errors';

/** What `new FrameDecoder(framing, options)` takes. All have a default. */
export interface FrameDecoderOptions {
  /** Both marks at once, as in Node: a number of bytes here and of messages there; stands above the two below. */
  readonly highWaterMark?: number | undefined;
  /** From how many bytes of chunks on `write` says false. Default 256 KiB. */
  readonly writableHighWaterMark?: number | undefined;
  /** How many messages may wait for the reader; 1 MiB of them is enough too. Default 256. */
  readonly readableHighWaterMark?: number | undefined;
  /** Destroys the decoder with an AbortError. */
  readonly signal?: AbortSignal | undefined;
}

type Chunk = string | NodeJS.ArrayBufferView;

const HIGH_WATER_MARK_BYTES = 256 * 1024;
const HIGH_WATER_MARK_MESSAGES = 256;
const MAX_WAITING_BYTES = 1024 * 1024;

/**
 * Bytes in, cut anywhere; messages out, in any framing: one Buffer each, the empty one too, or one string each after
 * `setEncoding`. The readable side is in object mode, so that the messages stay apart for every kind of reader.
 *
 * A message is a view on the chunk it came in, unless it was split over several or the framing copies.
 *
 * What is no message, or too long (MessageTooLargeError), or an end inside a message (FrameTruncatedError), destroys the
 * decoder, but not before a reader that asks for more has been given all messages that were complete.
 */
export class FrameDecoder extends Codec {
  /** undefined once destroyed. */
  #parser: FramingParser | undefined;
  /** The callback of the chunk that is in the parser, or of the end. */
  #held: WriteCallback | undefined;
  #isPumping = false;
  #hasEnded = false;
  /** Bytes of the messages that wait for the reader. */
  #waitingBytes = 0;
  #encoding: BufferEncoding | undefined;
  /** What ends the stream once the reader has everything before it. */
  readonly #failure: LastFailure;

  /** @throws TypeError or RangeError for what is no framing, and for options that are unknown or out of range. */
  constructor(framing: Framing, options: FrameDecoderOptions = {}) {
    checkFraming(framing);
    refuseUnknown('FrameDecoder', options, CODEC_KEYS);
    super({ readableObjectMode: true, ...marks(options, HIGH_WATER_MARK_BYTES, HIGH_WATER_MARK_MESSAGES) });
    this.#parser = framing.parser();
    this.#failure = new LastFailure(this, () => this.readableLength > 0);
    if (options.signal !== undefined) addAbortSignal(options.signal, this);
  }

  /** As set by `setEncoding`; null while messages are Buffers. */
  override get readableEncoding(): BufferEncoding | null {
    return this.#encoding ?? null;
  }

  /**
   * From now on each message is a string, those that wait for the reader too. Each is decoded by itself: half a character
   * at its end does not reach into the next message.
   * @throws TypeError for an unknown encoding
   */
  override setEncoding(encoding: BufferEncoding): this {
    if (!Buffer.isEncoding(encoding)) {
      throw new TypeError(`expected the name of an encoding, got ${shown(encoding)}`);
    }
    // Readable has two ways to hand on a message: as an event, and as what `read` returns.
    if (this.#encoding === undefined) {
      // eslint-disable-next-line @typescript-eslint/unbound-method -- a subclass may have its own
      const { emit } = this;
      this.emit = (event: string | symbol, ...values: unknown[]): boolean =>
        Reflect.apply(emit, this, [
          event,
          ...(event === 'data' ? values.map((value) => this.#decoded(value)) : values),
        ]);
    }
    this.#encoding = encoding;
    return this;
  }

  override write(chunk: Chunk, callback?: WriteCallback): boolean;
  override write(chunk: Chunk, encoding?: BufferEncoding, callback?: WriteCallback): boolean;
  override write(chunk: Chunk, second?: BufferEncoding | WriteCallback, third?: WriteCallback): boolean {
    const given = typeof second === 'function' ? second : third;
    const callback = given && ((error?: Error | null) => callUser(given, error));
    if (isChunk(chunk)) {
      return typeof second === 'string' ? super.write(chunk, second, callback) : super.write(chunk, callback);
    }
    if (ArrayBuffer.isView(chunk)) return super.write(viewOf(chunk), callback);
    // A throw would reach the source of a pipe, where nobody catches.
    const error = new InvalidMessageError(chunk, undefined, { expected: 'or a part of one to be bytes or a string' });
    if (callback !== undefined) process.nextTick(callback, error);
    this.destroy(error);
    return false;
  }

  override end(callback?: () => void): this;
  override end(chunk: Chunk, callback?: () => void): this;
  override end(chunk: Chunk, encoding?: BufferEncoding, callback?: () => void): this;
  override end(first?: Chunk | null | (() => void), second?: BufferEncoding | (() => void), third?: () => void): this {
    const callback = [first, second, third].find((argument) => typeof argument === 'function') as
      WriteCallback | undefined;
    if (first !== undefined && first !== null && typeof first !== 'function') {
      this.write(first, typeof second === 'string' ? second : undefined);
    }
    return super.end(callback === undefined ? undefined : (error?: Error | null) => callUser(callback, error));
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: WriteCallback): void {
    this.#held = callback;
    try {
      this.#parser?.write(chunk);
    } catch (error) {
      this.#failure.raise(error as Error);
      return;
    }
    this.#pump()?.();
  }

  override _final(callback: WriteCallback): void {
    this.#held = callback;
    this.#hasEnded = true;
    try {
      this.#parser?.end();
    } catch (error) {
      this.#failure.raise(error as Error);
      return;
    }
    this.#pump()?.();
  }

  override _read(): void {
    this.#pumpInRead();
  }

  /** The callback of the chunk runs code of the user, which may read, and Readable is in the midst of a read. */
  #pumpInRead(): void {
    const done = this.#pump();
    if (done !== undefined) process.nextTick(done);
  }

  // Anything narrower, as `Buffer | null`, is no stream to the declarations of `pipeline`.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  override read(size?: number): any {
    const message: unknown = super.read(size);
    if (message !== null) {
      // Readable counts messages and does not know when it was their bytes that stopped the parse.
      const wasStopped = this.#waitingBytes >= MAX_WAITING_BYTES;
      // What a reader has put back was not counted.
      if (Buffer.isBuffer(message)) this.#waitingBytes = Math.max(0, this.#waitingBytes - message.length);
      if (wasStopped) this.#pumpInRead();
    }
    this.#failure.wasRead(message, size);
    return this.#encoding === undefined ? message : this.#decoded(message);
  }

  #decoded(message: unknown): unknown {
    return Buffer.isBuffer(message) ? message.toString(this.#encoding) : message;
  }

  /**
   * Hands on what is in the parser, until that needs another chunk or the reader has enough.
   * @returns the callback of the chunk, once the parser is through with it
   */
  #pump(): WriteCallback | undefined {
    if (this.#held === undefined || this.#isPumping || this.#failure.error !== undefined) return undefined;
    this.#isPumping = true;
    const needsMore = this.#handOn();
    this.#isPumping = false;
    if (!needsMore) return undefined;
    const held = this.#held;
    this.#held = undefined;
    if (this.#hasEnded) this.push(null);
    return held;
  }

  /** Whether the parser needs another chunk. */
  #handOn(): boolean {
    const failure = this.#failure;
    let isStraight = false;
    while (this.#waitingBytes < MAX_WAITING_BYTES) {
      const message = this.#next();
      if (message === undefined) return failure.error === undefined && this.#parser !== undefined;
      failure.readerWaits = false;
      // What follows a message that went straight to the listeners may do so too; the way through `push` costs a third of all.
      const isTaken = isStraight && this.emit('data', message);
      const wantsMore = isTaken || this.push(message);
      const isEmpty = this.readableLength === 0;
      this.#waitingBytes = isEmpty ? 0 : this.#waitingBytes + message.length;
      // Destroyed by its reader, it holds nothing any more.
      if (!wantsMore || this.#held === undefined) return false;
      isStraight = isEmpty && this.readableFlowing === true;
    }
    return false;
  }

  #next(): Buffer | undefined {
    try {
      return this.#parser?.next();
    } catch (error) {
      this.#failure.raise(error as Error);
      return undefined;
    }
  }

  override _destroy(error: Error | null, callback: WriteCallback): void {
    this.#parser = undefined;
    if (this.#held !== undefined) process.nextTick(this.#held, error);
    this.#held = undefined;
    callback(error);
  }
}

/** What a Writable of bytes takes by itself. `null` it throws at the caller, as everywhere in Node. */
function isChunk(chunk: unknown): chunk is string | Uint8Array {
  return typeof chunk === 'string' || chunk instanceof Uint8Array || chunk === null;
}
