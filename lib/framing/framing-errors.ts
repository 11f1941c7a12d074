import { RexPortError } from '../errors';
import { shown } from '../options';

/** How much of an unexpected text a sentence repeats. */
const SHOWN_TEXT_CHARACTERS = 32;
/** Fewer printable bytes than this say nothing: binary data has them too. */
const FEWEST_TELLING_CHARACTERS = 3;

export interface MessageTooLargeFacts {
  readonly messageBytes: number;
  readonly maxMessageBytes: number;
  /** Where in the stream the frame began; undefined for a message that was to be sent. */
  readonly offset?: number | undefined;
  /** What the frame began with, prefix first, for the reader who wonders where the length came from. */
  readonly firstBytes?: Uint8Array | undefined;
}

/**
 * A message has more bytes than `maxMessageBytes`: one to be written, or one that a prefix announces. Raised before any
 * byte of it is sent or taken in. `ERR_REXPORT_MESSAGE_TOO_LARGE`
 */
export class MessageTooLargeError extends RexPortError {
  readonly messageBytes: number;
  readonly maxMessageBytes: number;
  readonly offset: number | undefined;

  constructor({ messageBytes, maxMessageBytes, offset, firstBytes }: MessageTooLargeFacts) {
    const limit = `the limit (\`maxMessageBytes\`) is ${maxMessageBytes}`;
    const sentence =
      offset === undefined
        ? `the message has ${messageBytes} bytes; ${limit}`
        : `the frame at byte ${offset} announces a message of ${messageBytes} bytes; ${limit}`;
    super('ERR_REXPORT_MESSAGE_TOO_LARGE', sentence + hint(firstBytes));
    this.messageBytes = messageBytes;
    this.maxMessageBytes = maxMessageBytes;
    this.offset = offset;
  }
}

export interface BadLengthFacts {
  /** Where in the stream the frame began. */
  readonly offset: number;
  /** What the length is, as the end of a sentence that begins with "the frame has". */
  readonly fault: string;
  readonly firstBytes: Uint8Array;
}

/** A length prefix that no message can have, whatever the limit. `ERR_REXPORT_BAD_LENGTH` */
export class BadLengthError extends RexPortError {
  readonly offset: number;

  constructor({ offset, fault, firstBytes }: BadLengthFacts) {
    super('ERR_REXPORT_BAD_LENGTH', `the frame at byte ${offset} has ${fault}${hint(firstBytes)}`);
    this.offset = offset;
  }
}

export interface FrameTruncatedFacts {
  readonly phase: 'header' | 'body';
  readonly receivedBytes: number;
  readonly expectedBytes: number;
  readonly offset: number;
}

/** The input ended inside a frame. `ERR_REXPORT_FRAME_TRUNCATED` */
export class FrameTruncatedError extends RexPortError {
  /** `header`: inside the length prefix; `body`: inside the message, or right before its first byte. */
  readonly phase: 'header' | 'body';
  /** How much of that phase had come. */
  readonly receivedBytes: number;
  /** How much of it was to come: for a varint, which tells its width with its last byte, at least. */
  readonly expectedBytes: number;
  /** Where in the stream the frame began. */
  readonly offset: number;

  constructor({ phase, receivedBytes, expectedBytes, offset }: FrameTruncatedFacts) {
    const part = phase === 'header' ? 'length prefix' : 'message';
    const sentence = `the input ended inside the frame at byte ${offset}: ${receivedBytes} of ${expectedBytes} bytes of its ${part} had come`;
    super('ERR_REXPORT_FRAME_TRUNCATED', sentence);
    this.phase = phase;
    this.receivedBytes = receivedBytes;
    this.expectedBytes = expectedBytes;
    this.offset = offset;
  }
}

/** A message that is no bytes: neither string nor view, or a view whose memory is gone. `ERR_REXPORT_INVALID_MESSAGE` */
export class InvalidMessageError extends RexPortError {
  /** `typeof` the message, or the name of its class. */
  readonly type: string;

  constructor(message: unknown, options?: ErrorOptions) {
    const got = options === undefined ? shown(message) : 'a view whose memory was taken away';
    super('ERR_REXPORT_INVALID_MESSAGE', `expected a message to be a string, a Buffer or another view, got ${got}`, options);
    this.type = nameOfType(message);
  }
}

function nameOfType(value: unknown): string {
  if (typeof value !== 'object' || value === null) return typeof value;
  const { constructor } = value;
  return typeof constructor === 'function' ? constructor.name : 'object';
}

/** A program that prints to stdout where frames are expected is the usual reason for an absurd length. */
function hint(firstBytes: Uint8Array | undefined): string {
  if (firstBytes === undefined) return '';
  const bytes = Buffer.from(firstBytes).toString('latin1');
  if (/^\x16\x03[\x00-\x04]/.test(bytes)) return '; it begins like a TLS handshake: is the other end expecting TLS?';
  const text = /^[\t\n\r -~]*/.exec(bytes.slice(0, SHOWN_TEXT_CHARACTERS))?.[0] ?? '';
  if (text.length < FEWEST_TELLING_CHARACTERS) return '';
  const reads = `; its first bytes read ${JSON.stringify(text)}`;
  if (/^SSH-/.test(text)) return `${reads}, an SSH greeting`;
  if (/^(GET |HEAD|POST|PUT |DELE|OPTI|PATC|CONN|TRAC|HTTP)/.test(text)) return `${reads}, which is HTTP`;
  return `${reads}: did the program print to stdout?`;
}
