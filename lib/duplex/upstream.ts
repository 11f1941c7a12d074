/** The stream that is piped into a port. */
import type { Duplex, Readable } from 'node:stream';

export class Upstream {
  source: Readable | undefined;

  constructor(port: Duplex) {
    port.on('pipe', (source: Readable) => (this.source = source));
    port.on('unpipe', () => (this.source = undefined));
  }

  /** Whether the source has no other reader than the port. */
  get isOurs(): boolean {
    return this.source?.listenerCount('data') === 1 && this.source.listenerCount('readable') === 0;
  }
}
