/** The streams that are piped into a port, and those that it is piped into. */
import type { Duplex, Readable } from 'node:stream';

export class PipedStreams {
  readonly sources = new Set<Readable>();
  readonly sinks = new Set<NodeJS.WritableStream>();
  readonly #port: Duplex;

  constructor(port: Duplex) {
    this.#port = port;
    port.on('pipe', (source: Readable) => this.sources.add(source));
    port.on('unpipe', (source: Readable) => this.sources.delete(source));
  }

  /** The sources that nobody else reads. */
  get feeders(): Readable[] {
    return [...this.sources].filter(hasOneReader);
  }

  /** The only stream that is piped into the port. */
  get source(): Readable | undefined {
    return this.sources.size === 1 ? [...this.sources][0] : undefined;
  }

  /** The only reader of the port's bytes, where that is a stream it is piped into. */
  get sink(): NodeJS.WritableStream | undefined {
    const isOnlyReader = this.sinks.size === 1 && hasOneReader(this.#port) && this.#port.readableEncoding === null;
    return isOnlyReader ? [...this.sinks][0] : undefined;
  }

  /** @param sink undefined: all of them */
  unpiped(sink: NodeJS.WritableStream | undefined): void {
    if (sink === undefined) this.sinks.clear();
    else this.sinks.delete(sink);
  }
}

/** Whether a stream that is piped has no other reader than that pipe. */
export function hasOneReader(stream: Readable): boolean {
  return stream.listenerCount('data') === 1 && stream.listenerCount('readable') === 0;
}
