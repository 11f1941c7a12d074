/** Header blocks before messages, as language servers and debug adapters have them. */
import { refuseUnknown } from '../options';
import { limit, type LengthPrefix } from './format';
import { FrameParser } from './frame-parser';
import { FrameWriter } from './frame-writer';
import type { Framing } from './framing';
import type { LengthReader } from './length-reader';

/** What `contentLength(options)` takes. */
export interface ContentLengthOptions {
  /** The most bytes of one message, in both directions, without its header block. Default 64 MiB. */
  readonly maxMessageBytes?: number | undefined;
}

/** More than any header block of these protocols has; a program that prints is noticed much earlier. */
const MAX_HEADER_BYTES = 8192;
const QUOTED_BYTES = 32;
const NEWLINE = 10;
const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/**
 * `Content-Length: 5`, CR LF, CR LF, then the five bytes of the message: the framing of the Language Server Protocol and
 * of the Debug Adapter Protocol. Other headers are ignored. A line that is no header is an error as soon as it has come,
 * and so is a block of more than 8 KiB.
 *
 * Source: https://microsoft.github.io/language-server-protocol/specifications/base/0.9/specification/
 * @throws TypeError or RangeError for options that are unknown or out of range
 */
export function contentLength(options: ContentLengthOptions = {}): Framing {
  refuseUnknown('contentLength', options, ['maxMessageBytes']);
  const header = new ContentLengthHeader(limit(options.maxMessageBytes, Number.MAX_SAFE_INTEGER));
  return { parser: () => new FrameParser({}, header), writer: () => new FrameWriter({}, header) };
}

class ContentLengthHeader implements LengthPrefix {
  readonly name = 'header block';
  readonly maxPrefixBytes = header(Number.MAX_SAFE_INTEGER).length;

  constructor(readonly maxMessageBytes: number) {}

  write(target: Uint8Array, at: number, messageBytes: number): number {
    const text = header(messageBytes);
    for (let i = 0; i < text.length; i++) target[at + i] = text.charCodeAt(i);
    return at + text.length;
  }

  reader(): LengthReader {
    return new HeaderReader();
  }
}

function header(messageBytes: number): string {
  return `Content-Length: ${messageBytes}\r\n\r\n`;
}

/** Judges each line when it has come. Of the block only the line that has not ended, and what an error quotes, is held. */
class HeaderReader implements LengthReader {
  takenBytes = 0;
  complete = false;
  /** NaN until the block has told. */
  messageBytes = NaN;
  #line = '';
  #firstBytes = '';
  #fault: string | undefined;

  get expectedBytes(): number {
    return this.complete ? this.takenBytes : this.takenBytes + 1;
  }

  take(chunk: Uint8Array, at: number, end: number): number {
    while (at < end && !this.complete) {
      const newline = chunk.indexOf(NEWLINE, at);
      const behind = Math.min(newline === -1 ? end : newline + 1, end, at + MAX_HEADER_BYTES + 1 - this.takenBytes);
      const text = latin1(chunk, at, behind);
      if (this.#firstBytes.length < QUOTED_BYTES) this.#firstBytes += text.slice(0, QUOTED_BYTES);
      this.#line += text;
      this.takenBytes += behind - at;
      at = behind;
      if (this.takenBytes > MAX_HEADER_BYTES) this.#refuse(`a header block of more than ${MAX_HEADER_BYTES} bytes`);
      else if (behind === newline + 1) this.#lineHasCome();
    }
    return at;
  }

  fault(): string | undefined {
    return this.#fault;
  }

  firstBytes(): Buffer {
    return Buffer.from(this.#firstBytes, 'latin1');
  }

  reset(): void {
    this.takenBytes = 0;
    this.complete = false;
    this.messageBytes = NaN;
    this.#line = '';
    this.#firstBytes = '';
  }

  #lineHasCome(): void {
    const line = this.#line;
    this.#line = '';
    if (line === '\r\n') {
      if (Number.isNaN(this.messageBytes)) this.#refuse('a header block without Content-Length');
      this.complete = true;
      return;
    }
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(colon, 0));
    if (!line.endsWith('\r\n') || !NAME.test(name)) {
      this.#refuse('a line in its header block that is no header');
      return;
    }
    if (name.toLowerCase() === 'content-length') this.#read(line.slice(colon + 1).trim());
  }

  #read(value: string): void {
    if (!Number.isNaN(this.messageBytes)) this.#refuse('two Content-Lengths');
    else if (!/^\d+$/.test(value)) this.#refuse('a Content-Length that is no number');
    else if (Number(value) > Number.MAX_SAFE_INTEGER) this.#refuse('a length of 2^53 bytes or more');
    else this.messageBytes = Number(value);
  }

  #refuse(fault: string): void {
    this.#fault = fault;
    this.messageBytes = NaN;
    this.complete = true;
  }
}

function latin1({ buffer, byteOffset }: Uint8Array, at: number, end: number): string {
  return Buffer.from(buffer, byteOffset + at, end - at).toString('latin1');
}
