/** What a framing is: how messages become bytes, and bytes messages. Anybody may write one. */
import { shown } from '../options';
import { InvalidMessageError } from './framing-errors';

/** A message to be sent: text, or the bytes of a Buffer or of any other view. */
export type Message = string | NodeJS.ArrayBufferView;

/**
 * How messages lie in a stream of bytes. A pair of factories: each child, and each child after a restart, gets a parser
 * and a writer of its own, so that nothing of one stream of bytes reaches another.
 */
export interface Framing {
  /** Called for each stream of bytes that is read. */
  parser(): FramingParser;
  /** Called for each stream of bytes that is written. */
  writer(): FramingWriter;
}

/**
 * Chunks to messages. `write` is called with a chunk, then `next` until it returns undefined, and so on; then `end`, and
 * `next` again until it returns undefined.
 */
export interface FramingParser {
  /** Whether a message has begun and has not come whole. */
  readonly isInsideMessage: boolean;
  /** Takes the next chunk, of any length and cut anywhere. It does not change while messages are views on it. */
  write(chunk: Buffer): void;
  /**
   * The next message, or undefined when that takes another chunk. What it throws ends the stream of bytes, after all
   * messages before it have been handed on; it then throws the same each time.
   */
  next(): Buffer | undefined;
  /** No more chunks come. Throws when that cuts a message; `next` may still have the last message. */
  end(): void;
}

/** Messages to chunks. `write` is called for each message, then `take` for what is to be sent. */
export interface FramingWriter {
  /** Bytes written and not yet taken. */
  readonly pendingBytes: number;
  /** Adds one message. When it throws, nothing was added. */
  write(message: Message): void;
  /** What is to be sent, in order: whole messages, in chunks that are not empty. The caller owns them. */
  take(): Buffer[];
}

/** @throws TypeError */
export function checkFraming(framing: unknown): Framing {
  const { parser, writer } = (framing ?? {}) as Partial<Framing>;
  if (typeof parser === 'function' && typeof writer === 'function') return framing as Framing;
  throw new TypeError(`expected \`framing\` to have the methods parser() and writer(), got ${shown(framing)}`);
}

/** @throws InvalidMessageError */
export function bytesOf(message: Message, encoding?: BufferEncoding): Uint8Array {
  // The length is taken from the encoded bytes: `Buffer.byteLength` only estimates base64.
  if (typeof message === 'string') return Buffer.from(message, encoding);
  if (!ArrayBuffer.isView(message)) throw new InvalidMessageError(message);
  // As mostly, and by `length` alone: `byteLength` is no load to the compiler but a call.
  if (message instanceof Uint8Array && message.length > 0) return message;
  try {
    // Memory that was transferred or shrunk away reads as length 0, like an empty message; only a method tells.
    if (message.byteLength === 0 && 'at' in message) message.at(0);
    return message instanceof Uint8Array ? message : viewOf(message);
  } catch (cause) {
    throw new InvalidMessageError(message, 'whose memory was taken away', { cause });
  }
}

/** Also of a view of another realm (`vm`, jest), which is no `instanceof` our Uint8Array. */
export function viewOf({ buffer, byteOffset, byteLength }: NodeJS.ArrayBufferView): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

/** Memory that nobody else has a view on, as Node's pool would be. */
export function owned(bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
}
