import { integer, refuseUnknown } from '../options';
import { addAbortSignal, Transform } from '../streams';
import { FRAME_PARSER_KEYS, FrameParser, type FrameParserOptions } from './frame-parser';

export interface LengthPrefixDecoderOptions extends FrameParserOptions {
  /** Both marks at once, as in Node: a number of bytes here and of messages there; stands above the two below. */
  readonly highWaterMark?: number | undefined;
  /** From how many bytes of chunks on `write` says false. Default 256 KiB. */
  readonly writableHighWaterMark?: number | undefined;
  /** How many messages may wait for the reader; 1 MiB of them is enough too. Default 256. */
  readonly readableHighWaterMark?: number | undefined;
  /** Destroys the decoder with an AbortError. */
  readonly signal?: AbortSignal | undefined;
}

type WriteCallback = (error?: Error | null) => void;

const HIGH_WATER_MARK_BYTES = 256 * 1024;
const HIGH_WATER_MARK_MESSAGES = 256;
const MAX_WAITING_BYTES = 1024 * 1024;

const OPTION_KEYS = [
  ...FRAME_PARSER_KEYS,
  'highWaterMark',
  'writableHighWaterMark',
  'readableHighWaterMark',
  'signal',
] as const satisfies readonly (keyof LengthPrefixDecoderOptions)[];

/**
 * Bytes in, cut anywhere; messages out, one Buffer each, the empty one too. The readable side is in object mode, so that
 * the messages stay apart for whoever reads, however they read.
 *
 * A message is a view on the chunk it came in, unless it was split over several or `copy` is true.
 *
 * A length that is too large (MessageTooLargeError) or none (BadLengthError), or an end inside a frame
 * (FrameTruncatedError), destroys the decoder, but not before a reader who asks for more has been given all messages
 * that were complete.
 */
export class LengthPrefixDecoder extends Transform {
  readonly #parser: FrameParser;
  /** The callback of the chunk that is in the parser, or of the end. */
  #held: WriteCallback | undefined;
  #isPumping = false;
  /** Bytes of the messages that wait for the reader. */
  #waitingBytes = 0;
  /** Whether the reader has been told that there is nothing, and nothing has come since. */
  #readerWaits = false;
  /** What ends the stream once the reader has everything before it. */
  #failure: Error | undefined;

  /** @throws TypeError or RangeError for options that are unknown, out of range or at odds with each other. */
  constructor(options: LengthPrefixDecoderOptions = {}) {
    refuseUnknown('LengthPrefixDecoder', options, OPTION_KEYS);
    const { highWaterMark, writableHighWaterMark, readableHighWaterMark, signal, ...framing } = options;
    super({
      readableObjectMode: true,
      writableHighWaterMark: mark(
        'writableHighWaterMark',
        highWaterMark ?? writableHighWaterMark,
        HIGH_WATER_MARK_BYTES,
      ),
      readableHighWaterMark: mark(
        'readableHighWaterMark',
        highWaterMark ?? readableHighWaterMark,
        HIGH_WATER_MARK_MESSAGES,
      ),
    });
    this.#parser = new FrameParser(framing);
    if (signal !== undefined) addAbortSignal(signal, this);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: WriteCallback): void {
    this.#parser.write(chunk);
    this.#held = callback;
    this.#pump();
  }

  override _final(callback: WriteCallback): void {
    try {
      this.#parser.end();
    } catch (error) {
      this.#held = callback;
      this.#fail(error as Error);
      return;
    }
    this.push(null);
    callback();
  }

  override _read(): void {
    this.#pump();
  }

  // Anything narrower, as `Buffer | null`, is no stream to the declarations of `pipeline`.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  override read(size?: number): any {
    const message = super.read(size) as Buffer | null;
    if (message !== null) {
      // Readable counts messages and does not know when it was their bytes that stopped the parse.
      const wasStopped = this.#waitingBytes >= MAX_WAITING_BYTES;
      this.#waitingBytes -= message.length;
      if (wasStopped) this.#pump();
      if (this.#failure !== undefined && this.readableLength === 0) process.nextTick(() => this.#announce());
    } else if (size !== 0) {
      this.#readerWaits = true;
      this.#failIfAsked();
    }
    return message;
  }

  /** Hands on what is in the parser, until that needs another chunk or the reader has enough. */
  #pump(): void {
    if (this.#held === undefined || this.#isPumping || this.#failure !== undefined) return;
    this.#isPumping = true;
    try {
      if (!this.#handOn()) return;
    } finally {
      this.#isPumping = false;
    }
    const held = this.#held;
    this.#held = undefined;
    held();
  }

  /** Whether the parser needs another chunk. */
  #handOn(): boolean {
    let isStraight = false;
    while (this.#waitingBytes < MAX_WAITING_BYTES || this.readableLength === 0) {
      const message = this.#next();
      if (message === undefined) return this.#failure === undefined;
      this.#readerWaits = false;
      // What follows a message that went straight to the listeners may do so too; the way through `push` costs a third of all.
      const isTaken = isStraight && this.emit('data', message);
      // Destroyed by its reader, it holds nothing any more.
      if ((!isTaken && !this.push(message)) || this.#held === undefined) return false;
      isStraight = this.readableLength === 0 && this.readableFlowing === true;
      this.#waitingBytes = isStraight ? 0 : this.#waitingBytes + message.length;
    }
    return false;
  }

  #next(): Buffer | undefined {
    try {
      return this.#parser.next();
    } catch (error) {
      this.#fail(error as Error);
      return undefined;
    }
  }

  #fail(error: Error): void {
    this.#failure = error;
    this.#failIfAsked();
  }

  /** A reader who has everything and wants more, or who was never given anything, loses nothing by the failure. */
  #failIfAsked(): void {
    if (this.#failure === undefined || this.readableLength > 0) return;
    if (this.#readerWaits || this.readableFlowing === true || !this.readableDidRead) this.destroy(this.#failure);
    else process.nextTick(() => this.#announce());
  }

  /** As at the end of any stream: a reader who waits for the event asks then. */
  #announce(): void {
    if (!this.destroyed && this.listenerCount('readable') > 0) this.emit('readable');
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#parser.clear();
    if (this.#held !== undefined) process.nextTick(this.#held, error);
    this.#held = undefined;
    callback(error);
  }
}

function mark(name: string, value: number | undefined, usual: number): number {
  return integer(name, value ?? usual, 0, Number.MAX_SAFE_INTEGER);
}
