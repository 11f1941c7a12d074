/** How the messages of a program are framed, as far as the check must know: all else is the library's. */
import { contentLength, encodeFrame, type FrameFormat, FrameParser, lines } from '../lib/index';

export interface Wire {
  /** As it stands in a heading: `{packet, 4}`. */
  readonly name: string;
  /** Of a length prefix: which. */
  readonly format: FrameFormat | undefined;
  /** Messages are lines, and so text without a newline. */
  readonly isLines: boolean;
  /** Of a length with a fixed number of bytes: that number. */
  readonly lengthBytes: number | undefined;
  /** The most bytes of a message that are tried. */
  readonly mostBytes: number;
  frame(message: Buffer): Buffer;
  /** Takes chunks, gives messages; throws for what is no frame. */
  reader(): { write(chunk: Buffer): void; next(): Buffer | undefined };
  /** Where the first whole frames end, where that does not follow from their messages. */
  endOf?(bytes: Buffer): number;
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
    isLines: false,
    lengthBytes,
    mostBytes,
    frame: (message) => encodeFrame(message, format),
    reader: () => new FrameParser({ ...format, copy: true }),
  };
}

/** The framing of many tools: a line each. */
export function lineFramed(): Wire {
  return {
    name: 'lines',
    format: undefined,
    isLines: true,
    lengthBytes: undefined,
    mostBytes: MOST_BYTES,
    frame: (message) => Buffer.concat([message, Buffer.from('\n')]),
    reader: () => lines().parser(),
    // A CR may stand before the newline, or not.
    endOf: (bytes) => bytes.lastIndexOf('\n') + 1,
  };
}

/** The framing of language servers. */
export function headerFramed(): Wire {
  const framing = contentLength();
  return {
    name: 'Content-Length',
    format: undefined,
    isLines: false,
    lengthBytes: undefined,
    mostBytes: MOST_BYTES,
    frame: (message) => {
      const writer = framing.writer();
      writer.write(message);
      return Buffer.concat(writer.take());
    },
    reader: () => framing.parser(),
    endOf: endOfBlocks,
  };
}

/** Other headers may stand beside the length. */
function endOfBlocks(bytes: Buffer): number {
  for (let end = 0; ;) {
    const border = bytes.indexOf('\r\n\r\n', end);
    const length = /content-length: *(\d+)/i.exec(bytes.toString('latin1', end, Math.max(border, end)))?.[1];
    const next = border + 4 + Number(length);
    if (border === -1 || length === undefined || next > bytes.length) return end;
    end = next;
  }
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
