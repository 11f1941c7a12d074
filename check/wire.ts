/** How the messages of a program are framed, as far as the check must know: all else is the library's. */
import { encodeFrame, type FrameFormat, FrameParser } from '../lib/index';

export interface Wire {
  /** As it stands in a heading: `{packet, 4}`. */
  readonly name: string;
  readonly format: FrameFormat;
  /** Of a length with a fixed number of bytes: that number. */
  readonly lengthBytes: number | undefined;
  /** The most bytes of a message that are tried. */
  readonly mostBytes: number;
  frame(message: Buffer): Buffer;
  /** Takes chunks, gives messages; throws for what is no frame. */
  reader(): { write(chunk: Buffer): void; next(): Buffer | undefined };
}

/** The same length, otherwise written: what a program may have mistaken. */
export type Length = Required<Pick<FrameFormat, 'endian' | 'lengthIncludesPrefix'>> & {
  readonly prefix: NonNullable<FrameFormat['prefix']>;
};

const MOST_BYTES = 64 * 1024 * 1024;

/** @throws TypeError or RangeError for a format that there is none of */
export function lengthPrefixed(format: FrameFormat): Wire {
  const { prefix, endian, lengthIncludesPrefix } = lengthOf(format);
  const lengthBytes = prefix === 'varint' ? undefined : prefix;
  const counted = lengthIncludesPrefix ? (lengthBytes ?? 0) : 0;
  const mostBytes = Math.min(MOST_BYTES, lengthBytes === undefined ? Infinity : 256 ** lengthBytes - 1 - counted);
  // What is wrong with the format is said here.
  encodeFrame('', format);
  return {
    name: nameOf(format, { prefix, endian, lengthIncludesPrefix }),
    format,
    lengthBytes,
    mostBytes,
    frame: (message) => encodeFrame(message, format),
    reader: () => new FrameParser({ ...format, copy: true }),
  };
}

/** The format in one form, all said. */
export function lengthOf({ packet, prefix, endian, lengthIncludesPrefix }: FrameFormat): Length {
  return {
    prefix: prefix ?? packet ?? 4,
    endian: endian ?? 'big',
    lengthIncludesPrefix: lengthIncludesPrefix ?? false,
  };
}

/** As the library takes it. */
export function formatOf({ prefix, endian, lengthIncludesPrefix }: Length): FrameFormat {
  return prefix === 'varint' ? { prefix } : { prefix, endian, lengthIncludesPrefix };
}

function nameOf({ prefix: asked }: FrameFormat, { prefix, endian, lengthIncludesPrefix }: Length): string {
  if (asked === undefined) return `{packet, ${prefix}}`;
  if (prefix === 'varint') return 'a varint length';
  return `a length of ${prefix} ${prefix === 1 ? 'byte' : 'bytes'}, ${endian}-endian${lengthIncludesPrefix ? ', that counts itself' : ''}`;
}
