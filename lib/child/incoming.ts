/** Messages from a stream, as many as are asked for. */
import type { Readable } from 'node:stream';
import type { FramingParser } from '../framing/framing';

export interface IncomingEvents {
  /** `next` may have something new to say. */
  readonly more: () => void;
  readonly failed: (error: Error) => void;
}

export class Incoming {
  /** No more chunks come. */
  hasEnded = false;
  /** All messages were given. */
  isExhausted = false;

  readonly #input: Readable;
  readonly #parser: FramingParser;
  readonly #events: IncomingEvents;
  /** What the parser has not had. */
  readonly #chunks: Buffer[] = [];
  #maxChunks = 1;
  /** The parser knows that no more chunks come; it may still have the last message. */
  #isParserEnded = false;
  readonly #take = (chunk: Buffer): void => {
    this.#chunks.push(chunk);
    if (this.#chunks.length >= this.#maxChunks) this.#input.pause();
    this.#events.more();
  };

  constructor(input: Readable, parser: FramingParser, events: IncomingEvents) {
    this.#input = input;
    this.#parser = parser;
    this.#events = events;
    const end = (): void => this.#end();
    input.once('end', end).once('close', end);
    input.on('error', events.failed);
    if (input.readableEnded || input.destroyed) this.hasEnded = true;
    else input.on('data', this.#take);
  }

  /**
   * The next message, which may be a view on its chunk; undefined when it takes another chunk, or none comes.
   * @throws what the framing's parser throws: MessageTooLargeError, BadLengthError, FrameTruncatedError
   */
  next(): Buffer | undefined {
    for (;;) {
      const message = this.#parser.next();
      if (message !== undefined) return message;
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) {
        this.#parser.write(chunk);
      } else if (!this.hasEnded) {
        this.#input.resume();
        return undefined;
      } else if (this.#isParserEnded) {
        this.isExhausted = true;
        return undefined;
      } else {
        this.#isParserEnded = true;
        this.#parser.end();
      }
    }
  }

  /** Reads on while messages wait, up to this many chunks: an end of the input behind them is then seen. */
  readAhead(chunks: number): void {
    this.#maxChunks = chunks;
    if (this.#chunks.length < chunks) this.#input.resume();
  }

  /** Takes no more; the stream stays as it is. */
  stop(): void {
    this.#input.removeListener('data', this.#take).pause();
  }

  #end(): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    this.#events.more();
  }
}
