import { type FrameFormat, prefixOf } from './format';
import { FrameParser } from './frame-parser';
import { checkLength, FrameWriter } from './frame-writer';
import { bytesOf, type Framing, type Message } from './framing';

const ERLANG_4 = prefixOf('encodeFrame', {});

/**
 * A length prefix before each message; without options Erlang's `{packet, 4}`, which is what a Port speaks by itself.
 * @throws TypeError or RangeError for options that are unknown, out of range or at odds with each other.
 */
export function lengthPrefix(format: FrameFormat = {}): Framing {
  const prefix = prefixOf('lengthPrefix', format);
  return { parser: () => new FrameParser({}, prefix), writer: () => new FrameWriter({}, prefix) };
}

/**
 * One message as one frame, in memory of its own, which nobody else has a view on.
 * @throws MessageTooLargeError
 * @throws InvalidMessageError
 * @throws TypeError or RangeError for options that are unknown, out of range or at odds with each other.
 */
export function encodeFrame(message: Message, format?: FrameFormat): Buffer {
  const prefix = format === undefined ? ERLANG_4 : prefixOf('encodeFrame', format);
  const bytes = bytesOf(message);
  const messageBytes = bytes.length;
  checkLength(prefix, messageBytes);
  const header = Buffer.allocUnsafe(prefix.maxPrefixBytes);
  const prefixBytes = prefix.write(header, 0, messageBytes);
  // Not from Node's pool, whose memory shows what others have there.
  const frame = Buffer.allocUnsafeSlow(prefixBytes + messageBytes);
  frame.set(header.subarray(0, prefixBytes));
  frame.set(bytes, prefixBytes);
  return frame;
}
