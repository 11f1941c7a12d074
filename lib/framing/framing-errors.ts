import { RexPortError, leadingText } from '../errors';

export interface MessageTooLargeFacts {
  /** undefined for a message that does not tell its length beforehand, and whose end has not come. */
  readonly messageBytes: number | undefined;
  readonly maxMessageBytes: number;
  /** Where in the stream the frame began; undefined for a message that was to be sent. */
  readonly offset?: number | undefined;
  /** What the frame began with, prefix first, for the reader who wonders where the length came from. */
  readonly firstBytes?: Uint8Array | undefined;
}

/**
 * A message has more bytes than `maxMessageBytes`: one to be written, one that a prefix announces, or a line without an
 * end. Raised before any byte of it is sent, and before more than the limit is held. `ERR_REXPORT_MESSAGE_TOO_LARGE`
 */
export class MessageTooLargeError extends RexPortError {
  declare readonly code: 'ERR_REXPORT_MESSAGE_TOO_LARGE';
  /** The bytes of the message. For a line, whose length nothing announces, one more than the limit: there it was refused. */
  readonly messageBytes: number;
  /** The limit, in bytes. */
  readonly maxMessageBytes: number;
  /** Where in the stream the frame began, in bytes; undefined for a message that was to be sent. */
  readonly offset: number | undefined;

  constructor({ messageBytes, maxMessageBytes, offset, firstBytes }: MessageTooLargeFacts) {
    const limit = `the limit (\`maxMessageBytes\`) is ${maxMessageBytes}`;
    let sentence = `the message has ${messageBytes} bytes; ${limit}`;
    if (messageBytes === undefined) {
      sentence = `the message at byte ${offset} is longer than ${maxMessageBytes} bytes (\`maxMessageBytes\`)`;
    } else if (offset !== undefined) {
      sentence = `the frame at byte ${offset} announces a message of ${messageBytes} bytes; ${limit}`;
    }
    super('ERR_REXPORT_MESSAGE_TOO_LARGE', sentence + hint(firstBytes));
    this.messageBytes = messageBytes ?? maxMessageBytes + 1;
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
  declare readonly code: 'ERR_REXPORT_BAD_LENGTH';
  /** Where in the stream the frame began, in bytes. */
  readonly offset: number;

  constructor({ offset, fault, firstBytes }: BadLengthFacts) {
    super('ERR_REXPORT_BAD_LENGTH', `the frame at byte ${offset} has ${fault}${hint(firstBytes)}`);
    this.offset = offset;
  }
}

export interface FrameTruncatedFacts {
  readonly phase: 'header' | 'body';
  /** What the header is called. Default: a length prefix. */
  readonly part?: string | undefined;
  readonly receivedBytes: number;
  readonly expectedBytes: number;
  readonly offset: number;
  /** What should have ended a message whose length is not announced, as it reads in a sentence. */
  readonly delimiter?: string | undefined;
}

/** The input ended inside a frame. `ERR_REXPORT_FRAME_TRUNCATED` */
export class FrameTruncatedError extends RexPortError {
  declare readonly code: 'ERR_REXPORT_FRAME_TRUNCATED';
  /** `header`: inside the length prefix or header block; `body`: inside the message, or right before its first byte. */
  readonly phase: 'header' | 'body';
  /** How many bytes of that phase had come. */
  readonly receivedBytes: number;
  /** How many bytes it should have had; where only the last byte tells (a varint, a header block, a line), at least. */
  readonly expectedBytes: number;
  /** Where in the stream the frame began, in bytes. */
  readonly offset: number;

  constructor({ phase, part = 'length prefix', receivedBytes, expectedBytes, offset, delimiter }: FrameTruncatedFacts) {
    const sentence =
      delimiter === undefined
        ? `the input ended inside the frame at byte ${offset}: ${receivedBytes} of ${expectedBytes} bytes of its ${phase === 'header' ? part : 'message'} had come`
        : `the input ended inside the message at byte ${offset}: no ${delimiter} has come behind its ${receivedBytes} bytes`;
    super('ERR_REXPORT_FRAME_TRUNCATED', sentence);
    this.phase = phase;
    this.receivedBytes = receivedBytes;
    this.expectedBytes = expectedBytes;
    this.offset = offset;
  }
}

/** A message that is no bytes: neither string nor view, or a view whose memory is gone. `ERR_REXPORT_INVALID_MESSAGE` */
export class InvalidMessageError extends RexPortError {
  declare readonly code: 'ERR_REXPORT_INVALID_MESSAGE';
  /** `typeof` the message, `null`, or the name of its class. */
  readonly type: string;

  /**
   * @param fault what is wrong with a message whose type is right, as the end of a sentence that begins with its type.
   * @param options `expected`: what it should have been instead, as a sentence goes on behind "expected a message"
   */
  constructor(message: unknown, fault?: string, options?: ErrorOptions & { readonly expected?: string }) {
    const type = nameOfType(message);
    // Its type alone: what is in it may be a secret.
    const got = fault === undefined ? `a value of type ${type}` : `a ${type} ${fault}`;
    const { expected = 'to be a string, a Buffer or another view' } = options ?? {};
    super('ERR_REXPORT_INVALID_MESSAGE', `expected a message ${expected}, got ${got}`, options);
    this.type = type;
  }
}

function nameOfType(value: unknown): string {
  if (value === null) return 'null';
  if (typeof value !== 'object') return typeof value;
  const { constructor } = value;
  return typeof constructor === 'function' ? constructor.name : 'object';
}

/** A program that prints to stdout where frames are expected is the usual reason for an absurd length. */
function hint(firstBytes: Uint8Array | undefined): string {
  if (firstBytes === undefined) return '';
  const [type, major, minor = 255] = firstBytes;
  if (type === 0x16 && major === 3 && minor <= 4) {
    return '; it begins like a TLS handshake: does the other end expect TLS?';
  }
  const text = leadingText(firstBytes);
  if (text === undefined) return '';
  const reads = `; its first bytes read ${JSON.stringify(text)}`;
  if (text.startsWith('SSH-')) return `${reads}, an SSH greeting`;
  if (/^(GET |HEAD|POST|PUT |DELE|OPTI|PATC|CONN|TRAC|HTTP)/.test(text)) return `${reads}, which is HTTP`;
  return `${reads}: did the program print to stdout?`;
}
