/**
 * What a length prefix looks like. Everything about widths, byte orders and limits is here; the writer and the parser
 * ask no questions about them.
 */
import { constants } from 'node:buffer';
import { boolean, integer, oneOf, refuseUnknown } from '../options';
import { FixedReader, type LengthReader, MAX_VARINT_BYTES, VarintReader, type Weights } from './length-reader';

/** How messages are framed: a length prefix, then the message. Without options it is Erlang's `{packet, 4}`. */
export interface FrameFormat {
  /**
   * Erlang's formats: an unsigned big-endian prefix of this many bytes that counts the message alone. Default 4.
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

/** One format, its options checked. Holds no state, so any number of writers and readers may share it. */
export interface LengthPrefix {
  /** What it is called in a sentence. */
  readonly name: string;
  readonly maxMessageBytes: number;
  /** The most bytes one prefix takes. */
  readonly maxPrefixBytes: number;
  /** Writes the prefix of a message of `messageBytes` at `at`; returns the offset behind it. */
  write(target: Uint8Array, at: number, messageBytes: number): number;
  reader(): LengthReader;
}

/** @throws TypeError or RangeError for options that are unknown, out of range or at odds with each other. */
export function prefixOf(what: string, format: FrameFormat): LengthPrefix {
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
  const weights: number[] = [];
  // Products, not powers, which are doubles to V8 whatever their value, and so would be all that is counted with them.
  for (let weight = 1; weights.length < width; weight *= 256) weights.push(weight);
  if (!isLittle) weights.reverse();
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

/** @param prefixCanSay the longest message that the framing can say */
export function limit(asked: number | undefined, prefixCanSay: number): number {
  const most = Math.min(prefixCanSay, constants.MAX_LENGTH);
  return asked === undefined ? Math.min(DEFAULT_MAX_MESSAGE_BYTES, most) : integer('maxMessageBytes', asked, 1, most);
}

class FixedPrefix implements LengthPrefix {
  readonly name = 'length prefix';

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
    // What a Uint8Array keeps of a number is its integer part modulo 256.
    const { weights } = this;
    if (weights.length === 4) {
      // As mostly; by shifts, not in a loop, it is a tenth less of all that a small message costs.
      const isLittle = weights[0] === 1;
      target[at] = isLittle ? length : length >>> 24;
      target[at + 1] = isLittle ? length >>> 8 : length >>> 16;
      target[at + 2] = isLittle ? length >>> 16 : length >>> 8;
      target[at + 3] = isLittle ? length >>> 24 : length;
      return at + 4;
    }
    // Shifts end at 32 bits; the quotient by a power of two is exact.
    for (const weight of weights) target[at++] = length / weight;
    return at;
  }

  reader(): LengthReader {
    return new FixedReader(this.weights, this.included);
  }
}

class VarintPrefix implements LengthPrefix {
  readonly name = 'length prefix';
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
