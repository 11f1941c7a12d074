import type { Message } from '../../lib/framing/framing';
import { encodeFrame } from '../../lib/framing/length-prefix';
import type { FrameFormat } from '../../lib/framing/format';
import { FrameParser, type FrameParserOptions } from '../../lib/framing/frame-parser';

/** Formats that differ in how a length is read: every width, both byte orders, the varint, with and without itself. */
export const FORMATS: readonly FrameFormat[] = [
  { packet: 1 },
  { packet: 2 },
  { packet: 4 },
  ...([1, 2, 3, 4, 8] as const).flatMap((prefix) =>
    (['big', 'little'] as const).flatMap((endian) =>
      [false, true].map((lengthIncludesPrefix) => ({ prefix, endian, lengthIncludesPrefix })),
    ),
  ),
  { prefix: 'varint' },
];

/** Of them, one of each way in which a length is read or written. */
export const KINDS_OF_FORMATS: readonly FrameFormat[] = [
  { packet: 1 },
  { packet: 2 },
  { packet: 4 },
  { prefix: 3, endian: 'little', lengthIncludesPrefix: true },
  { prefix: 4, endian: 'little', lengthIncludesPrefix: false },
  { prefix: 8, endian: 'big', lengthIncludesPrefix: false },
  { prefix: 8, endian: 'little', lengthIncludesPrefix: true },
  { prefix: 'varint' },
];

export function frames(messages: readonly Message[], format?: FrameFormat): Buffer {
  return Buffer.concat(messages.map((message) => encodeFrame(message, format)));
}

/** All messages of all chunks, as `write`, `next`, `end` give them. */
export function parse(chunks: readonly Uint8Array[], options?: FrameParserOptions): Buffer[] {
  const parser = new FrameParser(options);
  const messages = chunks.flatMap((chunk) => messagesOf(parser, chunk));
  parser.end();
  return messages;
}

export function messagesOf(parser: FrameParser, chunk: Uint8Array): Buffer[] {
  const messages: Buffer[] = [];
  parser.write(chunk);
  for (let message = parser.next(); message !== undefined; message = parser.next()) messages.push(message);
  return messages;
}

export function texts(messages: readonly Buffer[]): string[] {
  return messages.map(String);
}

/** `bytes` in pieces that end at the given offsets. */
export function cutAt(bytes: Buffer, ...offsets: readonly number[]): Buffer[] {
  const ends = [...offsets, bytes.length];
  return ends.map((end, i) => bytes.subarray(ends[i - 1] ?? 0, end));
}

export function cutEvery(bytes: Buffer, size: number): Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
}

/** What `action` throws; undefined when it does not. */
export function thrownBy(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}

/** A message whose bytes tell where they belong. */
export function pattern(bytes: number): Buffer {
  const message = Buffer.allocUnsafe(bytes);
  for (let i = 0; i < bytes; i++) message[i] = i + (i >>> 8);
  return message;
}
