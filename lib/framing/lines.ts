/** Lines, or whatever else ends with a delimiter. */
import { oneOf, refuseUnknown, shown } from '../options';
import { Batch } from './batch';
import { limit } from './format';
import { checkLength, COPIED_HEAD_BYTES, COPIED_WHOLE_BYTES, settle } from './frame-writer';
import { bytesOf, type Framing, type FramingParser, type FramingWriter, type Message, viewOf } from './framing';
import { FrameTruncatedError, InvalidMessageError, MessageTooLargeError } from './framing-errors';
import { FastBuffer } from './frame-parser';

/** What `lines(options)` takes. All have a default. */
export interface LinesOptions {
  /** What ends each message that is read, at least one character. Default `'\n'`; a CR before that is taken off too. */
  readonly delimiter?: string | undefined;
  /** What ends each message that is written, and so must not be in it. Default: `delimiter`. */
  readonly writeDelimiter?: string | undefined;
  /** The most bytes of one message, in both directions, without its delimiter. Default 64 MiB. */
  readonly maxMessageBytes?: number | undefined;
  /**
   * What bytes behind the last delimiter are at the end of the input: an `'error'` (FrameTruncatedError) or a
   * `'message'`. Default `'error'`, since nobody can tell a whole line from one that was cut.
   */
  readonly lastLine?: 'error' | 'message' | undefined;
}

const KEYS = [
  'delimiter',
  'writeDelimiter',
  'maxMessageBytes',
  'lastLine',
] as const satisfies readonly (keyof LinesOptions)[];
const EMPTY = Buffer.alloc(0);
const CARRIAGE_RETURN = 13;
const QUOTED_BYTES = 32;
const FIRST_RESERVE_BYTES = 64;

/** A delimiter as it is looked for. */
class Delimiter {
  readonly bytes: Buffer;
  /** One byte is found much faster as a number. */
  readonly needle: number | Buffer;

  constructor(
    name: string,
    readonly text: string,
  ) {
    if (typeof text !== 'string') throw new TypeError(`expected \`${name}\` to be a string, got ${shown(text)}`);
    if (text === '') throw new RangeError(`expected \`${name}\` to have at least one character, got ''`);
    this.bytes = Buffer.from(text);
    this.needle = this.bytes.length === 1 ? this.bytes.readUInt8() : this.bytes;
  }

  get length(): number {
    return this.bytes.length;
  }

  get name(): string {
    return JSON.stringify(this.text);
  }
}

/**
 * Each message is a line: what lies between two delimiters, without them. A message may be empty.
 * @throws TypeError or RangeError for options that are unknown or out of range
 */
export function lines(options: LinesOptions = {}): Framing {
  refuseUnknown('lines', options, KEYS);
  const { delimiter = '\n', writeDelimiter = delimiter, lastLine = 'error' } = options;
  const read = new Delimiter('delimiter', delimiter);
  const written = new Delimiter('writeDelimiter', writeDelimiter);
  const maxMessageBytes = limit(options.maxMessageBytes, Number.MAX_SAFE_INTEGER);
  const isLastAMessage = oneOf('lastLine', lastLine, ['error', 'message'] as const) === 'message';
  return {
    parser: () => new LineParser(read, maxMessageBytes, isLastAMessage),
    writer: () => new LineWriter(written, maxMessageBytes),
  };
}

class LineParser implements FramingParser {
  readonly #delimiter: Delimiter;
  readonly #needle: number | Buffer;
  readonly #width: number;
  readonly #takesCarriageReturn: boolean;
  readonly #maxMessageBytes: number;
  readonly #isLastAMessage: boolean;
  #chunk: Buffer = EMPTY;
  #memory = EMPTY.buffer as ArrayBufferLike;
  #base = EMPTY.byteOffset;
  #at = 0;
  /** Bytes of the stream before the chunk. */
  #passed = 0;
  /** What has come of a line in chunks before this one. */
  #partial = EMPTY;
  #held = 0;
  /** Where in the stream that line began. */
  #offset = 0;
  #hasEnded = false;
  #failure: Error | undefined;

  constructor(delimiter: Delimiter, maxMessageBytes: number, isLastAMessage: boolean) {
    this.#delimiter = delimiter;
    this.#needle = delimiter.needle;
    this.#width = delimiter.length;
    this.#takesCarriageReturn = delimiter.text === '\n';
    this.#maxMessageBytes = maxMessageBytes;
    this.#isLastAMessage = isLastAMessage;
  }

  get isInsideMessage(): boolean {
    return this.#held > 0;
  }

  write(chunk: Buffer): void {
    this.#refuseUnread('write');
    if (this.#failure === undefined) this.#hold(chunk);
  }

  next(): Buffer | undefined {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#held > 0) return this.#assemble();
    const start = this.#at;
    const end = this.#chunk.indexOf(this.#needle, start);
    if (end === -1) {
      this.#wait();
      return;
    }
    this.#at = end + this.#width;
    let bytes = end - start;
    if (this.#takesCarriageReturn && bytes > 0 && this.#chunk[end - 1] === CARRIAGE_RETURN) bytes--;
    if (bytes > this.#maxMessageBytes) throw this.#refusal(this.#chunk.subarray(start, end));
    return new FastBuffer(this.#memory, this.#base + start, bytes);
  }

  end(): void {
    this.#refuseUnread('end');
    this.#hasEnded = true;
    const bytes = this.#held;
    if (bytes === 0 || this.#isLastAMessage) return;
    if (bytes > this.#maxMessageBytes) throw this.#refusal(EMPTY);
    throw new FrameTruncatedError({
      phase: 'body',
      receivedBytes: bytes,
      expectedBytes: bytes + this.#width,
      offset: this.#offset,
      delimiter: this.#delimiter.name,
    });
  }

  #hold(chunk: Buffer): void {
    this.#passed += this.#chunk.length;
    this.#chunk = chunk;
    this.#memory = chunk.buffer;
    this.#base = chunk.byteOffset;
    this.#at = 0;
  }

  #refuseUnread(method: string): void {
    if (this.#failure !== undefined || this.#at >= this.#chunk.length) return;
    throw new Error(`expected next() to have returned undefined before ${method}()`);
  }

  /** Keeps what has come of a line, if it may still end within the limit. */
  #wait(): undefined {
    const { length } = this.#chunk;
    const bytes = this.#held + length - this.#at;
    // The last of these may be the first of the delimiter.
    const isReturn = this.#takesCarriageReturn && length > 0 && this.#chunk[length - 1] === CARRIAGE_RETURN;
    if (bytes - (isReturn ? 1 : this.#width - 1) > this.#maxMessageBytes) {
      throw this.#refusal(this.#chunk.subarray(this.#at));
    }
    this.#keep(length);
    this.#hold(EMPTY);
  }

  /** The line that began in a chunk before this one. */
  #assemble(): Buffer | undefined {
    const across = this.#width === 1 ? -1 : this.#acrossChunks();
    if (across !== -1) {
      this.#at = across;
      // What the delimiter has of the part that was kept goes.
      return this.#finish(this.#held - (this.#width - across));
    }
    const end = this.#chunk.indexOf(this.#needle);
    if (end !== -1) {
      // A CR before the delimiter may go above the limit.
      if (this.#held + end > this.#maxMessageBytes + 1) throw this.#refusal(this.#chunk.subarray(0, end));
      this.#keep(end);
      this.#at = end + this.#width;
      return this.#finish(this.#held);
    }
    if (this.#chunk.length > 0) {
      this.#wait();
      return;
    }
    return this.#hasEnded ? this.#finish(this.#held) : undefined;
  }

  /** Where the chunk goes on behind a delimiter of which the first bytes came before it; else -1. */
  #acrossChunks(): number {
    const beside = this.#width - 1;
    const before = this.#partial.subarray(Math.max(this.#held - beside, 0), this.#held);
    const found = Buffer.concat([before, this.#chunk.subarray(0, beside)]).indexOf(this.#delimiter.bytes);
    return found === -1 ? -1 : found + this.#width - before.length;
  }

  #finish(length: number): Buffer {
    let bytes = length;
    if (this.#takesCarriageReturn && bytes > 0 && this.#partial[bytes - 1] === CARRIAGE_RETURN) bytes--;
    if (bytes > this.#maxMessageBytes) throw this.#refusal(EMPTY);
    const line = this.#partial.subarray(0, bytes);
    this.#partial = EMPTY;
    this.#held = 0;
    return line;
  }

  /** Copies the chunk up to there. */
  #keep(end: number): void {
    if (this.#held === 0) this.#offset = this.#passed + this.#at;
    const bytes = this.#held + end - this.#at;
    if (bytes > this.#partial.length) {
      const reserve = Math.max(
        bytes,
        Math.min(this.#held * 2, this.#maxMessageBytes + this.#width),
        FIRST_RESERVE_BYTES,
      );
      const larger = Buffer.allocUnsafeSlow(reserve);
      larger.set(this.#partial.subarray(0, this.#held));
      this.#partial = larger;
    }
    this.#partial.set(this.#chunk.subarray(this.#at, end), this.#held);
    this.#held = bytes;
    this.#at = end;
  }

  /** @param rest what of the line has come in this chunk and was not kept */
  #refusal(rest: Buffer): Error {
    const quoted = Math.min(QUOTED_BYTES, this.#maxMessageBytes + 1);
    const held = this.#partial.subarray(0, Math.min(this.#held, quoted));
    this.#failure = new MessageTooLargeError({
      messageBytes: undefined,
      maxMessageBytes: this.#maxMessageBytes,
      offset: this.#held > 0 ? this.#offset : this.#passed + rest.byteOffset - this.#base,
      firstBytes: Buffer.concat([held, rest.subarray(0, quoted)]).subarray(0, quoted),
    });
    this.#partial = EMPTY;
    this.#held = 0;
    this.#hold(EMPTY);
    return this.#failure;
  }
}

/** Long messages are not copied but for their last KiB, so that no chunk is a delimiter alone. */
class LineWriter implements FramingWriter {
  readonly #batch = new Batch();
  readonly #delimiter: Delimiter;
  readonly #maxMessageBytes: number;

  constructor(delimiter: Delimiter, maxMessageBytes: number) {
    this.#delimiter = delimiter;
    this.#maxMessageBytes = maxMessageBytes;
  }

  get pendingBytes(): number {
    return this.#batch.pendingBytes;
  }

  write(message: Message): void {
    const bytes = settle(bytesOf(message));
    const { length } = bytes;
    checkLength({ maxMessageBytes: this.#maxMessageBytes }, length);
    this.#refuseDelimiter(message, bytes);
    const { bytes: delimiter } = this.#delimiter;
    const batch = this.#batch;
    const passed = length > COPIED_WHOLE_BYTES ? length - COPIED_HEAD_BYTES : 0;
    if (passed > 0) batch.pass(viewOf(bytes).subarray(0, passed));
    const at = batch.room(length - passed + delimiter.length);
    batch.slab.set(passed > 0 ? bytes.subarray(passed) : bytes, at);
    batch.slab.set(delimiter, at + length - passed);
    batch.wrote(at + length - passed + delimiter.length);
  }

  take(): Buffer[] {
    return this.#batch.take();
  }

  #refuseDelimiter(message: Message, bytes: Uint8Array): void {
    const { needle, bytes: delimiter, name } = this.#delimiter;
    let at = typeof needle === 'number' ? bytes.indexOf(needle) : viewOf(bytes).indexOf(needle);
    if (at === -1 && delimiter.length > 1) {
      // The last bytes of the message and the first of the delimiter may be a delimiter too: "x\n" before "\n\n".
      const last = bytes.subarray(Math.max(bytes.length - delimiter.length + 1, 0));
      const found = Buffer.concat([last, delimiter]).indexOf(delimiter);
      if (found < last.length) at = bytes.length - last.length + found;
    }
    if (at === -1) return;
    throw new InvalidMessageError(message, `with one that begins at byte ${at}`, {
      expected: `without the delimiter ${name}`,
    });
  }
}
