import { Batch } from './batch';
import { type FrameFormat, type LengthPrefix, prefixOf } from './format';
import { bytesOf, type FramingWriter, type Message, viewOf } from './framing';
import { MessageTooLargeError } from './framing-errors';

export type { Message } from './framing';

/** Up to here a copy costs less than a chunk of its own would. */
export const COPIED_WHOLE_BYTES = 16 * 1024;
/** What of a longer message goes along with the header, so that no chunk is a header alone. */
export const COPIED_HEAD_BYTES = 1024;

/**
 * Messages to chunks, many small messages in one chunk. Owns no stream: `write` as many messages as there are, then
 * `take` what is to be sent.
 *
 * A message of at most 16 KiB is copied and the caller may change it after `write`. Of a longer one only the first KiB
 * is copied: the rest leaves as a view on the caller's memory, which must not change until it has been sent.
 */
export class FrameWriter implements FramingWriter {
  readonly #prefix: LengthPrefix;
  readonly #batch = new Batch();
  #pendingMessages = 0;

  /** @throws TypeError or RangeError for options that are unknown, out of range or at odds with each other. */
  constructor(format: FrameFormat = {}, prefix: LengthPrefix = prefixOf('FrameWriter', format)) {
    this.#prefix = prefix;
  }

  /** Bytes written and not yet taken, prefixes included. */
  get pendingBytes(): number {
    return this.#batch.pendingBytes;
  }

  /** Messages written and not yet taken. */
  get pendingMessages(): number {
    return this.#pendingMessages;
  }

  /**
   * Adds one frame. When it throws, nothing was added and the writer is as good as before.
   * @param encoding of a string; default utf8
   * @throws MessageTooLargeError
   * @throws InvalidMessageError
   */
  write(message: Message, encoding?: BufferEncoding): void {
    const bytes = bytesOf(message, encoding);
    const messageBytes = bytes.length;
    const prefix = this.#prefix;
    const batch = this.#batch;
    checkLength(prefix, messageBytes);
    const whole = messageBytes <= COPIED_WHOLE_BYTES;
    const start = batch.room(prefix.maxPrefixBytes + (whole ? messageBytes : COPIED_HEAD_BYTES));
    const at = prefix.write(batch.slab, start, messageBytes);
    if (whole) {
      batch.slab.set(bytes, at);
      batch.wrote(at + messageBytes);
    } else {
      const settled = settle(bytes);
      batch.slab.set(settled.subarray(0, COPIED_HEAD_BYTES), at);
      batch.wrote(at + COPIED_HEAD_BYTES);
      batch.pass(viewOf(settled).subarray(COPIED_HEAD_BYTES));
    }
    this.#pendingMessages++;
  }

  /** What is to be sent, in order: chunks of up to 144 KiB, or the rest of a message above 16 KiB. None is empty. */
  take(): Buffer[] {
    this.#pendingMessages = 0;
    return this.#batch.take();
  }
}

/** @throws MessageTooLargeError */
export function checkLength({ maxMessageBytes }: { readonly maxMessageBytes: number }, messageBytes: number): void {
  if (messageBytes > maxMessageBytes) throw new MessageTooLargeError({ messageBytes, maxMessageBytes });
}

/** The bytes, or a copy where they may still be cut off after their number was announced. */
export function settle(bytes: Uint8Array): Uint8Array {
  const { buffer } = bytes;
  return 'resizable' in buffer && buffer.resizable === true ? Buffer.from(bytes) : bytes;
}
