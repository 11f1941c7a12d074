/** What the bytes of a wrong reply tell. */
import { encodeFrame } from '../lib/index';
import type { Diagnosis } from './findings';
import { formatOf, type Length, lengthOf, type Wire } from './wire';

/** The reply as it would be with a length of that form; undefined where it has no room for that. */
function framed(message: Buffer, length: Length): Buffer | undefined {
  try {
    return encodeFrame(message, formatOf(length));
  } catch {
    return undefined;
  }
}

/** The same with a length that says another number. */
function misframed(message: Buffer, wire: Wire, messageBytes: number): Buffer | undefined {
  if (messageBytes < 0 || messageBytes > wire.mostBytes) return undefined;
  const other = wire.frame(Buffer.alloc(messageBytes));
  return Buffer.concat([other.subarray(0, other.length - messageBytes), message]);
}

/**
 * @param bytes that came from where the reply should begin
 * @param expected the reply, without its length
 * @returns undefined where they tell nothing
 */
export function read(bytes: Buffer, expected: Buffer, wire: Wire): Diagnosis | undefined {
  if (bytes.length === 0) return undefined;
  const begins = (frame: Buffer | undefined): boolean => frame !== undefined && startsWith(bytes, frame);
  const right = wire.frame(expected);
  if (begins(right)) return 'extra-reply';
  if (wire.format === undefined) {
    if (begins(framed(expected, lengthOf({})))) return 'length-prefixed';
    if (startsWith(bytes, expected)) return wire.isLines && bytes.equals(expected) ? 'no-newline' : 'no-prefix';
    return readMessage(bytes, expected, wire);
  }
  const length = lengthOf(wire.format);
  const { prefix, endian, lengthIncludesPrefix } = length;
  if (typeof prefix === 'number' && prefix > 1) {
    const other = endian === 'big' ? 'little' : 'big';
    if (begins(framed(expected, { ...length, endian: other }))) return `${other}-endian`;
  }
  // A message of two bytes or less proves nothing: it is anywhere.
  if (expected.length > 2) {
    if (prefix !== 'varint' && begins(framed(expected, { ...length, lengthIncludesPrefix: !lengthIncludesPrefix }))) {
      return lengthIncludesPrefix ? 'length-counts-message-only' : 'length-counts-prefix';
    }
    for (let off = 1; off <= 8; off++) {
      // A frame that is whole has another message in it, which is no matter of its length.
      const isWhole = bytes.length >= right.length + off;
      if (begins(misframed(expected, wire, expected.length - off))) return 'wrong-length';
      if (begins(misframed(expected, wire, expected.length + off)) && !isWhole) return 'wrong-length';
    }
    if (startsWith(bytes, expected)) return 'no-prefix';
    for (const width of ([1, 2, 4, 'varint'] as const).filter((other) => other !== prefix)) {
      if (begins(framed(expected, { prefix: width, endian: 'big', lengthIncludesPrefix: false })))
        return 'other-packet';
    }
    const at = bytes.indexOf(right);
    if (at > 0 && isText(bytes.subarray(0, at))) return 'print-on-stdout';
  }
  return readMessage(bytes, expected, wire);
}

function readMessage(bytes: Buffer, expected: Buffer, wire: Wire): Diagnosis | undefined {
  const begin = bytes.subarray(0, Math.max(wire.lengthBytes ?? 0, 3));
  // All that lines and header blocks begin with is text.
  if (wire.format !== undefined && begin.length >= 3 && isText(begin)) return 'print-on-stdout';
  const message = firstMessage(bytes, wire);
  if (message === undefined) return isGarbledText(bytes, expected, wire) ? 'text-mode' : undefined;
  if (message.length > 0 && message.length < expected.length && startsWith(expected, message)) return 'short-read';
  if (isOneOf(message, garbled(expected))) return 'text-mode';
  if (!startsWith(message, expected)) return 'wrong-reply';
  return /^\r?\n$/.test(message.toString('latin1', expected.length)) ? 'adds-newline' : 'one-read-one-message';
}

function firstMessage(bytes: Buffer, wire: Wire): Buffer | undefined {
  const reader = wire.reader();
  try {
    reader.write(bytes);
    return reader.next();
  } catch {
    return undefined;
  }
}

/** What comes of the bytes when they are taken for text. */
function garbled(bytes: Buffer): Buffer[] {
  return [Buffer.from(bytes.toString('utf8')), withCarriageReturns(bytes)];
}

/** The same behind a length that is not theirs, as when characters are counted. */
function isGarbledText(bytes: Buffer, expected: Buffer, { lengthBytes }: Wire): boolean {
  return lengthBytes !== undefined && isOneOf(bytes.subarray(lengthBytes), garbled(expected));
}

function isOneOf(bytes: Buffer, others: readonly Buffer[]): boolean {
  return others.some((other) => other.equals(bytes));
}

function startsWith(bytes: Buffer, begin: Buffer): boolean {
  return bytes.length >= begin.length && bytes.compare(begin, 0, begin.length, 0, begin.length) === 0;
}

function withCarriageReturns(bytes: Buffer): Buffer {
  return Buffer.from(bytes.toString('latin1').replaceAll('\n', '\r\n'), 'latin1');
}

function isText(bytes: Buffer): boolean {
  return /^[\t\n\r -~]+$/.test(bytes.toString('latin1'));
}
