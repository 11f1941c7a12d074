/** What the bytes of a wrong reply tell. */
import { encodeFrame } from '../lib/index';
import type { Diagnosis } from './findings';

/** The reply as it would be with a length of so many bytes, of another value. */
function framed(message: Buffer, width: number, length: number, endian: 'BE' | 'LE' = 'BE'): Buffer | undefined {
  if (length < 0 || length >= 256 ** width) return undefined;
  const prefix = Buffer.alloc(width);
  if (endian === 'BE') prefix.writeUIntBE(length, 0, width);
  else prefix.writeUIntLE(length, 0, width);
  return Buffer.concat([prefix, message]);
}

/**
 * @param bytes that came from where the reply should begin
 * @param expected the reply, without its length
 * @returns undefined where they tell nothing
 */
export function read(bytes: Buffer, expected: Buffer, packet: 1 | 2 | 4): Diagnosis | undefined {
  if (bytes.length === 0) return undefined;
  const begins = (frame: Buffer | undefined): boolean => frame !== undefined && startsWith(bytes, frame);
  const n = expected.length;
  if (begins(framed(expected, packet, n))) return 'extra-reply';
  if (packet > 1 && begins(framed(expected, packet, n, 'LE'))) return 'little-endian';
  // A message of two bytes or less proves nothing: it is anywhere.
  if (n > 2) {
    if (begins(framed(expected, packet, n + packet))) return 'length-counts-prefix';
    for (let off = 1; off <= 8; off++) {
      // A frame that is whole has another message in it, which is no matter of its length.
      const isWhole = bytes.length >= packet + n + off;
      if (begins(framed(expected, packet, n - off))) return 'wrong-length';
      if (begins(framed(expected, packet, n + off)) && !isWhole) return 'wrong-length';
    }
    if (startsWith(bytes, expected)) return 'no-prefix';
    for (const width of [1, 2, 4].filter((other) => other !== packet)) {
      if (begins(framed(expected, width, n))) return 'other-packet';
    }
    const at = bytes.indexOf(encodeFrame(expected, { packet }));
    if (at > 0 && isText(bytes.subarray(0, at))) return 'print-on-stdout';
  }
  return readMessage(bytes, expected, packet);
}

function readMessage(bytes: Buffer, expected: Buffer, packet: number): Diagnosis | undefined {
  if (bytes.length >= 3 && isText(bytes.subarray(0, Math.max(packet, 3)))) return 'print-on-stdout';
  if (bytes.length < packet) return undefined;
  const length = bytes.readUIntBE(0, packet);
  const message = bytes.subarray(packet, packet + length);
  if (length > 0 && length < expected.length && startsWith(expected, message)) return 'short-read';
  if (message.equals(Buffer.from(expected.toString('utf8'))) || message.equals(withCarriageReturns(expected))) {
    return 'text-mode';
  }
  if (message.length < length) return undefined;
  if (!startsWith(message, expected)) return 'wrong-reply';
  return /^\r?\n$/.test(message.toString('latin1', expected.length)) ? 'adds-newline' : 'one-read-one-message';
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
