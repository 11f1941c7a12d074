import { InvalidMessageError, MessageTooLargeError } from './framing-errors';
import { type FrameFormat, type LengthPrefix, lengthPrefix } from './format';

/** A message to be sent: text, or the bytes of a Buffer or of any other view. */
export type Message = string | NodeJS.ArrayBufferView;

/** Up to here a copy costs less than a chunk of its own would. */
const COPIED_WHOLE_BYTES = 16 * 1024;
/** What goes along with the header of a longer message, so that no chunk is a header alone. */
const COPIED_HEAD_BYTES = 1024;
/** A slab for a trickle of messages: what an idle writer holds. */
const SMALL_SLAB_BYTES = 8 * 1024;
/**
 * A slab for a flood: all that an encoder takes before it says stop, 128 KiB and one message, so that a batch is one chunk
 * and, as it is more than a port takes before it says stop, one turn of whoever sends it.
 */
const SLAB_BYTES = 144 * 1024;

const NO_SLAB = new Uint8Array(0);
const ERLANG_4 = lengthPrefix('encodeFrame', {});

/**
 * Messages to chunks, many small messages in one chunk. Owns no stream: `write` as many messages as there are, then
 * `take` what is to be sent.
 *
 * A message of at most 16 KiB is copied and the caller may change it after `write`. Of a longer one only the first KiB
 * is copied: the rest leaves as a view on the caller's memory, which must not change until it has been sent.
 */
export class FrameWriter {
  readonly #prefix: LengthPrefix;
  /** Filled from the front and never rewound: what was taken from it is in use elsewhere. */
  #slab = NO_SLAB;
  #taken = 0;
  #filled = 0;
  /** What is in slabs of what was not taken. */
  #batchBytes = 0;
  /** Whether the last batch outgrew a small slab, as then the next one will. */
  #isFlood = false;
  #chunks: Buffer[] = [];
  #pendingBytes = 0;
  #pendingMessages = 0;

  /** @throws TypeError or RangeError for options that are unknown, out of range or at odds with each other. */
  constructor(format: FrameFormat = {}) {
    this.#prefix = lengthPrefix('FrameWriter', format);
  }

  /** Bytes written and not yet taken, prefixes included. */
  get pendingBytes(): number {
    return this.#pendingBytes;
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
    checkLength(this.#prefix, messageBytes);
    const whole = messageBytes <= COPIED_WHOLE_BYTES;
    this.#reserve(this.#prefix.maxPrefixBytes + (whole ? messageBytes : COPIED_HEAD_BYTES));
    const before = this.#filled;
    const at = this.#prefix.write(this.#slab, before, messageBytes);
    if (whole) {
      this.#slab.set(bytes, at);
      this.#filled = at + messageBytes;
    } else {
      const settled = isResizable(bytes) ? Buffer.from(bytes) : bytes;
      this.#slab.set(settled.subarray(0, COPIED_HEAD_BYTES), at);
      this.#filled = at + COPIED_HEAD_BYTES;
      this.#seal();
      this.#chunks.push(viewOf(settled).subarray(COPIED_HEAD_BYTES));
    }
    this.#batchBytes += this.#filled - before;
    this.#pendingBytes += at - before + messageBytes;
    this.#pendingMessages++;
  }

  /** What is to be sent, in order: chunks of up to 144 KiB, or the rest of a message above 16 KiB. None is empty. */
  take(): Buffer[] {
    const isFlood = this.#isFlood && this.#batchBytes > SMALL_SLAB_BYTES;
    this.#seal();
    // Another batch like this one would be cut in two where the slab ends; and a trickle needs no large one.
    if (isFlood !== this.#isFlood || this.#slab.length - this.#filled < this.#batchBytes) this.#begin(NO_SLAB);
    this.#isFlood = isFlood;
    this.#batchBytes = 0;
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#pendingBytes = 0;
    this.#pendingMessages = 0;
    return chunks;
  }

  #seal(): void {
    if (this.#filled === this.#taken) return;
    this.#chunks.push(Buffer.from(this.#slab.buffer, this.#taken, this.#filled - this.#taken));
    this.#taken = this.#filled;
  }

  #reserve(bytes: number): void {
    if (this.#slab.length - this.#filled >= bytes) return;
    this.#seal();
    this.#isFlood ||= this.#batchBytes > 0 && this.#batchBytes + bytes > SMALL_SLAB_BYTES;
    const usual = this.#isFlood ? SLAB_BYTES : SMALL_SLAB_BYTES;
    this.#begin(new Uint8Array(Buffer.allocUnsafeSlow(Math.max(usual, bytes)).buffer));
  }

  #begin(slab: Uint8Array<ArrayBuffer>): void {
    this.#slab = slab;
    this.#taken = 0;
    this.#filled = 0;
  }
}

/**
 * One message as one frame, in memory of its own.
 * @throws MessageTooLargeError
 * @throws InvalidMessageError
 * @throws TypeError or RangeError for options that are unknown, out of range or at odds with each other.
 */
export function encodeFrame(message: Message, format?: FrameFormat): Buffer {
  const prefix = format === undefined ? ERLANG_4 : lengthPrefix('encodeFrame', format);
  const bytes = bytesOf(message);
  const messageBytes = bytes.length;
  checkLength(prefix, messageBytes);
  const frame = Buffer.allocUnsafe(prefix.maxPrefixBytes + messageBytes);
  const at = prefix.write(frame, 0, messageBytes);
  frame.set(bytes, at);
  return frame.subarray(0, at + messageBytes);
}

function checkLength({ maxMessageBytes }: LengthPrefix, messageBytes: number): void {
  if (messageBytes > maxMessageBytes) throw new MessageTooLargeError({ messageBytes, maxMessageBytes });
}

function bytesOf(message: Message, encoding?: BufferEncoding): Uint8Array {
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

function viewOf({ buffer, byteOffset, byteLength }: NodeJS.ArrayBufferView): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

/** Whether the bytes may still be cut off after their number was announced. */
function isResizable({ buffer }: Uint8Array): boolean {
  return 'resizable' in buffer && buffer.resizable === true;
}
