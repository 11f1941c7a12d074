/**
 * What a length prefix looks like. Everything about widths, byte orders and limits is here; the writer and the parser
 * ask no questions about them.
 */
import { constants } from 'node:buffer';
import { boolean, integer, oneOf, refuseUnknown } from '../options';

/** How messages are framed: a length prefix, then the message. Without options it is Erlang's `{packet, 4}`. */
export interface FrameFormat {
  /**
   * Erlang's formats: an unsigned big-endian prefix of so many bytes that counts the message alone. Default 4.
   * Source: https://www.erlang.org/doc/apps/erts/erlang.html#open_port/2
   */
  readonly packet?: 1 | 2 | 4 | undefined;
  /** The bytes of the prefix, or `'varint'` (base 128, low group first, as protobuf's `writeDelimitedTo`); instead of `packet`. */
  readonly prefix?: 1 | 2 | 3 | 4 | 8 | 'varint' | undefined;
  /** The byte order of a fixed `prefix`. Default `'big'`. */
  readonly endian?: 'big' | 'little' | undefined;
  /** Whether the length that a fixed `prefix` carries counts the prefix too, as in PostgreSQL. Default false. */
  readonly lengthIncludesPrefix?: boolean | undefined;
  /**
   * The most bytes of one message, in both directions. Default 64 MiB, or what the prefix can say if that is less.
   * At most what the prefix can say and what a Buffer of this Node can hold (`buffer.constants.MAX_LENGTH`).
   */
  readonly maxMessageBytes?: number | undefined;
}

export const FRAME_FORMAT_KEYS = [
  'packet',
  'prefix',
  'endian',
  'lengthIncludesPrefix',
  'maxMessageBytes',
] as const satisfies readonly (keyof FrameFormat)[];

const DEFAULT_MAX_MESSAGE_BYTES = 64 * 1024 * 1024;
/** As many as 64 bits need: protobuf's own limit. */
const MAX_VARINT_BYTES = 10;

/** One format, its options checked. Holds no state, so many writers and readers may share it. */
export interface LengthPrefix {
  readonly maxMessageBytes: number;
  /** The most bytes one prefix takes. */
  readonly maxPrefixBytes: number;
  /** Writes the prefix of a message of `messageBytes` at `at`; returns the offset behind it. */
  write(target: Uint8Array, at: number, messageBytes: number): number;
  reader(): LengthReader;
}

/** Reads one prefix after another, each in as many pieces as it comes in; what it has of one is held in numbers. */
export interface LengthReader {
  /** Bytes of this prefix so far. */
  readonly takenBytes: number;
  /** How many it has in all; of a varint, how many at least. */
  readonly expectedBytes: number;
  /** Whether the last byte was taken; `messageBytes` counts from then on. */
  readonly complete: boolean;
  /** The length of the message; no length at all (negative, or 2^53 and more) when there is a `fault`. */
  readonly messageBytes: number;
  /** Takes bytes from `at`, up to `end` or the prefix's last; returns the offset behind the last one taken. */
  take(chunk: Uint8Array, at: number, end: number): number;
  /** Why the length is none, as the end of a sentence that begins with "the frame has". */
  fault(): string | undefined;
  /** Makes ready for the next prefix. */
  reset(): void;
}

/** @throws TypeError or RangeError for options that are unknown, out of range or at odds with each other. */
export function lengthPrefix(what: string, format: FrameFormat): LengthPrefix {
  refuseUnknown(what, format, FRAME_FORMAT_KEYS);
  const { packet, prefix, endian, lengthIncludesPrefix, maxMessageBytes } = format;
  if (prefix === undefined) {
    refuseWithoutFixedPrefix({ endian, lengthIncludesPrefix });
    const { packet: width = 4 } = format;
    return fixedPrefix(oneOf('packet', width, [1, 2, 4] as const), {}, maxMessageBytes);
  }
  if (packet !== undefined) throw new TypeError('expected either `packet` or `prefix`, got both');
  const width = oneOf('prefix', prefix, [1, 2, 3, 4, 8, 'varint'] as const);
  if (width !== 'varint') return fixedPrefix(width, format, maxMessageBytes);
  refuseWithoutFixedPrefix({ endian, lengthIncludesPrefix });
  return new VarintPrefix(limit(maxMessageBytes, Number.MAX_SAFE_INTEGER));
}

function fixedPrefix(
  width: number,
  { endian = 'big', lengthIncludesPrefix = false }: FrameFormat,
  maxMessageBytes: number | undefined,
): LengthPrefix {
  const isLittle = oneOf('endian', endian, ['big', 'little'] as const) === 'little';
  const weights = Array.from({ length: width }, (_, i) => 256 ** (isLittle ? i : width - 1 - i));
  const included = boolean('lengthIncludesPrefix', lengthIncludesPrefix) ? width : 0;
  const most = Math.min(256 ** width - 1, Number.MAX_SAFE_INTEGER) - included;
  return new FixedPrefix(limit(maxMessageBytes, most), weights, included);
}

function refuseWithoutFixedPrefix(options: Pick<FrameFormat, 'endian' | 'lengthIncludesPrefix'>): void {
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
    throw new TypeError(`expected \`${name}\` only together with a \`prefix\` of a fixed number of bytes`);
  }
}

function limit(asked: number | undefined, prefixCanSay: number): number {
  const most = Math.min(prefixCanSay, constants.MAX_LENGTH);
  return asked === undefined ? Math.min(DEFAULT_MAX_MESSAGE_BYTES, most) : integer('maxMessageBytes', asked, 1, most);
}

/** What each byte of the prefix counts, first byte first, is all there is to a byte order. */
type Weights = readonly number[];

class FixedPrefix implements LengthPrefix {
  constructor(
    readonly maxMessageBytes: number,
    private readonly weights: Weights,
    private readonly included: number,
  ) {}

  get maxPrefixBytes(): number {
    return this.weights.length;
  }

  write(target: Uint8Array, at: number, messageBytes: number): number {
    const length = messageBytes + this.included;
    // A quotient by a power of two is exact, and what a Uint8Array keeps of it is its integer part modulo 256.
    for (const weight of this.weights) target[at++] = length / weight;
    return at;
  }

  reader(): LengthReader {
    return new FixedReader(this.weights, this.included);
  }
}

class VarintPrefix implements LengthPrefix {
  readonly maxPrefixBytes = MAX_VARINT_BYTES;

  constructor(readonly maxMessageBytes: number) {}

  write(target: Uint8Array, at: number, messageBytes: number): number {
    let rest = messageBytes;
    while (rest >= 128) {
      target[at++] = (rest % 128) + 128;
      rest = Math.floor(rest / 128);
    }
    target[at++] = rest;
    return at;
  }

  reader(): LengthReader {
    return new VarintReader();
  }
}

/*
 * Sums of bytes are doubles and never wrap: exact below 2^53, and at or above it exactly when the true sum is.
 */

class FixedReader implements LengthReader {
  takenBytes = 0;
  complete = false;
  messageBytes = 0;
  #sum = 0;
  readonly #weights: Weights;
  readonly #included: number;

  constructor(weights: Weights, included: number) {
    this.#weights = weights;
    this.#included = included;
  }

  get expectedBytes(): number {
    return this.#weights.length;
  }

  take(chunk: Uint8Array, at: number, end: number): number {
    const weights = this.#weights;
    const start = at - this.takenBytes;
    let taken = this.takenBytes;
    let sum = this.#sum;
    // Four bytes at once, as mostly, need no loop: a tenth of all that a small message costs.
    if (taken === 0 && weights.length === 4 && end - at >= 4) {
      sum = weighed(chunk, at, weights, 0) + weighed(chunk, at, weights, 1);
      sum += weighed(chunk, at, weights, 2) + weighed(chunk, at, weights, 3);
      taken = 4;
    }
    while (taken < weights.length && start + taken < end) sum += weighed(chunk, start, weights, taken++);
    this.takenBytes = taken;
    this.#sum = sum;
    if (taken === weights.length) {
      this.complete = true;
      this.messageBytes = sum - this.#included;
    }
    return start + taken;
  }

  fault(): string | undefined {
    if (this.#sum > Number.MAX_SAFE_INTEGER) return 'a length of 2^53 bytes or more';
    if (this.#sum >= this.#included) return undefined;
    return `a length of ${this.#sum} bytes, which is to count the ${this.#included} of its own prefix too`;
  }

  reset(): void {
    this.takenBytes = 0;
    this.complete = false;
    this.#sum = 0;
  }
}

/** What the byte with that place in a prefix that begins at `start` counts. */
function weighed(chunk: Uint8Array, start: number, weights: Weights, place: number): number {
  return (chunk[start + place] ?? 0) * (weights[place] ?? 0);
}

class VarintReader implements LengthReader {
  takenBytes = 0;
  complete = false;
  messageBytes = 0;
  #weight = 1;

  get expectedBytes(): number {
    return this.complete ? this.takenBytes : this.takenBytes + 1;
  }

  take(chunk: Uint8Array, at: number, end: number): number {
    while (at < end && !this.complete) {
      const byte = chunk[at++] ?? 0;
      this.messageBytes += (byte % 128) * this.#weight;
      this.#weight *= 128;
      this.takenBytes++;
      if (byte < 128) this.complete = true;
      else if (this.takenBytes === MAX_VARINT_BYTES) {
        this.complete = true;
        this.messageBytes = Infinity;
      }
    }
    return at;
  }

  fault(): string | undefined {
    if (this.messageBytes === Infinity) return `a varint that goes on after its byte ${MAX_VARINT_BYTES}`;
    return this.messageBytes > Number.MAX_SAFE_INTEGER ? 'a length of 2^53 bytes or more' : undefined;
  }

  reset(): void {
    this.takenBytes = 0;
    this.complete = false;
    this.messageBytes = 0;
    this.#weight = 1;
  }
}
