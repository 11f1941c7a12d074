import { boolean, refuseUnknown } from '../options';
import { BadLengthError, FrameTruncatedError, MessageTooLargeError } from './framing-errors';
import { FRAME_FORMAT_KEYS, type FrameFormat, type LengthPrefix, prefixOf } from './format';
import { type FramingParser, owned } from './framing';
import type { LengthReader } from './length-reader';

/** What `new FrameParser(options)` takes. All have a default. */
export interface FrameParserOptions extends FrameFormat {
  /**
   * Whether every message gets memory of its own, which nobody else has a view on. Default false: a message that lies
   * whole in one chunk is a view on that chunk, keeps all of it alive, and is good only until the owner of the chunk
   * changes it.
   */
  readonly copy?: boolean | undefined;
}

export const FRAME_PARSER_KEYS = [
  ...FRAME_FORMAT_KEYS,
  'copy',
] as const satisfies readonly (keyof FrameParserOptions)[];

/** The most that is held for a message of which one byte has come, in a chunk that is no larger. */
const FIRST_RESERVE_BYTES = 1024;
const QUOTED_BYTES = 32;

const EMPTY = Buffer.alloc(0);

/** The class behind every Buffer; its constructor does what `subarray` does, in half the time. */
export const FastBuffer = (
  Buffer as unknown as Record<
    typeof Symbol.species,
    new (memory: ArrayBufferLike, byteOffset: number, length: number) => Buffer
  >
)[Symbol.species];

/** Of a message that has begun to come. */
export interface PartialMessage {
  readonly receivedBytes: number;
  /** What the prefix announces. */
  readonly expectedBytes: number;
  /** What the frame began with, prefix first. */
  readonly firstBytes: Buffer;
}

/**
 * Chunks to messages. Owns no stream: `write` a chunk, then ask `next` until it says undefined; `end` when no more comes.
 *
 * A message that came in several chunks is put together once, in memory of its own that grows with what has really
 * come. Between chunks the parser holds that, a few numbers, and nothing else.
 */
export class FrameParser implements FramingParser {
  readonly #prefix: LengthPrefix;
  readonly #reader: LengthReader;
  readonly #copy: boolean;
  #chunk: Uint8Array = EMPTY;
  /** Where the chunk lies; to ask it again for every message costs a tenth of all. */
  #memory = EMPTY.buffer as ArrayBufferLike;
  #base = EMPTY.byteOffset;
  #at = 0;
  #end = 0;
  /** Bytes of the stream before the chunk. */
  #passed = 0;
  /** What has come of a message whose length is known and whose last byte is not here yet. */
  #partial = EMPTY;
  #received = 0;
  #failure: Error | undefined;

  /**
   * @param prefix is for this package alone: a header that no option describes
   * @throws TypeError or RangeError for options that are unknown, out of range or at odds with each other.
   */
  constructor(options: FrameParserOptions = {}, prefix?: LengthPrefix) {
    refuseUnknown('FrameParser', options, FRAME_PARSER_KEYS);
    const { copy = false, ...format } = options;
    this.#copy = boolean('copy', copy);
    this.#prefix = prefix ?? prefixOf('FrameParser', format);
    this.#reader = this.#prefix.reader();
  }

  /** Whether a length has come whose message has not come whole. */
  get isInsideMessage(): boolean {
    return this.#reader.complete;
  }

  /** What has come of the message that is on its way; all 0 and empty between messages. */
  get partial(): PartialMessage {
    const { complete, messageBytes } = this.#reader;
    if (!complete) return { receivedBytes: 0, expectedBytes: 0, firstBytes: EMPTY };
    const prefix = Buffer.alloc(this.#prefix.maxPrefixBytes);
    const width = this.#prefix.write(prefix, 0, messageBytes);
    const body = this.#partial.subarray(0, Math.min(this.#received, QUOTED_BYTES));
    const firstBytes = Buffer.concat([prefix.subarray(0, width), body]);
    return { receivedBytes: this.#received, expectedBytes: messageBytes, firstBytes };
  }

  /**
   * Takes the next chunk. It must not change until `next` has said undefined, and while messages are views on it.
   * @throws Error when `next` has not yet said undefined about the chunk before.
   */
  write(chunk: Uint8Array): void {
    this.#refuseUnread('write');
    if (this.#failure !== undefined) return;
    this.#passed += this.#end;
    this.#hold(chunk);
  }

  /**
   * The next message, or undefined when it takes another chunk.
   * @throws MessageTooLargeError on the last byte of the prefix, before any byte of the message.
   * @throws BadLengthError for a prefix that no message can have. After either it throws the same error again: where
   * the next frame would begin is not known.
   */
  next(): Buffer | undefined {
    if (this.#failure !== undefined) throw this.#failure;
    const reader = this.#reader;
    if (!reader.complete && !this.#readPrefix()) return undefined;
    const { messageBytes } = reader;
    if (this.#received > 0 || messageBytes > this.#end - this.#at) return this.#assemble(messageBytes);
    const message = this.#view(messageBytes);
    this.#at += messageBytes;
    reader.reset();
    return this.#copy ? owned(message) : message;
  }

  /**
   * No more chunks come.
   * @throws FrameTruncatedError when that is inside a frame.
   * @throws Error when `next` has not yet said undefined.
   */
  end(): void {
    this.#refuseUnread('end');
    const { takenBytes, complete, expectedBytes, messageBytes } = this.#reader;
    if (takenBytes === 0) return;
    const offset = this.#passed + this.#end - takenBytes - this.#received;
    throw complete
      ? new FrameTruncatedError({ phase: 'body', receivedBytes: this.#received, expectedBytes: messageBytes, offset })
      : new FrameTruncatedError({
          phase: 'header',
          part: this.#prefix.name,
          receivedBytes: takenBytes,
          expectedBytes,
          offset,
        });
  }

  /**
   * The bytes behind the last message, which the parser then forgets: for a connection that speaks another protocol
   * from here on. To be asked right after the message that says so; a view on the chunk.
   * @throws FrameTruncatedError when `next` has already begun the frame behind it.
   */
  takeRest(): Buffer {
    const rest = this.#view(this.#end - this.#at);
    this.#end = this.#at;
    this.end();
    this.#wait();
    return rest;
  }

  /** Forgets the chunk and what has come of a message. */
  clear(): void {
    this.#wait();
    this.#reader.reset();
    this.#partial = EMPTY;
    this.#received = 0;
  }

  #readPrefix(): boolean {
    const reader = this.#reader;
    this.#at = reader.take(this.#chunk, this.#at, this.#end);
    if (!reader.complete) this.#wait();
    else if (!(reader.messageBytes >= 0 && reader.messageBytes <= this.#prefix.maxMessageBytes)) throw this.#refusal();
    return reader.complete;
  }

  #wait(): void {
    this.#passed += this.#end;
    this.#hold(EMPTY);
  }

  #hold(chunk: Uint8Array): void {
    this.#chunk = chunk;
    this.#memory = chunk.buffer;
    this.#base = chunk.byteOffset;
    this.#at = 0;
    this.#end = chunk.length;
  }

  #view(bytes: number): Buffer {
    return new FastBuffer(this.#memory, this.#base + this.#at, bytes);
  }

  #refuseUnread(method: string): void {
    if (this.#at < this.#end) throw new Error(`expected next() to have returned undefined before ${method}()`);
  }

  #assemble(messageBytes: number): Buffer | undefined {
    const arrived = Math.min(this.#end - this.#at, messageBytes - this.#received);
    if (arrived > 0) {
      this.#grow(this.#received + arrived, messageBytes);
      this.#partial.set(this.#view(arrived), this.#received);
      this.#at += arrived;
      this.#received += arrived;
    }
    if (this.#received < messageBytes) {
      this.#wait();
      return undefined;
    }
    const message = this.#partial;
    this.#partial = EMPTY;
    this.#received = 0;
    this.#reader.reset();
    return message;
  }

  #grow(neededBytes: number, messageBytes: number): void {
    if (neededBytes <= this.#partial.length) return;
    // As much as the chunk itself takes may be reserved at once: so what is no larger is copied only once.
    const asChunk = Math.min(messageBytes, this.#chunk.length);
    const larger = Buffer.allocUnsafeSlow(Math.max(asChunk, reserveFor(messageBytes, neededBytes)));
    larger.set(this.#partial.subarray(0, this.#received));
    this.#partial = larger;
  }

  #refusal(): Error {
    const { takenBytes, messageBytes } = this.#reader;
    const { maxMessageBytes } = this.#prefix;
    const offset = this.#passed + this.#at - takenBytes;
    const firstBytes = this.#firstBytes();
    const fault = this.#reader.fault();
    this.#failure =
      fault === undefined
        ? new MessageTooLargeError({ messageBytes, maxMessageBytes, offset, firstBytes })
        : new BadLengthError({ fault, offset, firstBytes });
    this.clear();
    return this.#failure;
  }

  /** What the frame began with; of a prefix that was split and is no countable length, only what came last. */
  #firstBytes(): Buffer {
    const { takenBytes, messageBytes } = this.#reader;
    const begin = this.#at - takenBytes;
    const kept = this.#reader.firstBytes?.();
    if (kept !== undefined) return kept;
    const here = Buffer.from(this.#chunk.subarray(Math.max(begin, 0), this.#at + QUOTED_BYTES));
    if (begin >= 0 || !Number.isSafeInteger(messageBytes)) return here;
    const prefix = Buffer.alloc(this.#prefix.maxPrefixBytes);
    const width = this.#prefix.write(prefix, 0, messageBytes);
    return Buffer.concat([prefix.subarray(0, width), this.#chunk.subarray(this.#at, this.#at + QUOTED_BYTES)]);
  }
}

/** Room for a message that is on its way: halves of halves of its first quarter, then all, so half of it is copied twice. */
function reserveFor(messageBytes: number, arrivedBytes: number): number {
  let reserve = Math.ceil(messageBytes / 4);
  if (messageBytes <= FIRST_RESERVE_BYTES || arrivedBytes > reserve) return messageBytes;
  while (reserve > FIRST_RESERVE_BYTES && Math.ceil(reserve / 2) >= arrivedBytes) reserve = Math.ceil(reserve / 2);
  return reserve;
}
