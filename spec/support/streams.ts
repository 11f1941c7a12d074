/** Small sources, sinks and readers that the specs share. */
import { Readable, Writable } from 'node:stream';

/** A shell one-liner as arguments for `sh`. */
export function sh(script: string): ['sh', string[]] {
  return ['sh', ['-c', script]];
}

/** `total` zero bytes in chunks of 64 KiB. */
export function zeros(total: number, chunkBytes = 65_536): Readable {
  function* chunks(): Generator<Buffer> {
    for (let left = total; left > 0; left -= chunkBytes) yield Buffer.alloc(Math.min(left, chunkBytes));
  }
  return Readable.from(chunks(), { objectMode: false });
}

/** Counts what it gets; `delayMs` makes it a slow one. */
export class CountingSink extends Writable {
  bytes = 0;

  constructor(delayMs = 0) {
    super({
      highWaterMark: 16_384,
      write: (chunk: Buffer, _encoding, callback) => {
        this.bytes += chunk.length;
        if (delayMs === 0) callback();
        else setTimeout(callback, delayMs);
      },
    });
  }
}

/** A source that gives nothing and never ends. */
export function idleSource(): Readable {
  return new Readable({ read: () => undefined });
}

/** What a promise was rejected with. */
export async function rejection(promise: Promise<unknown>): Promise<Error & { code?: string }> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error('expected a rejection, got a success');
}

/** Waits for `close`, whatever happens on the way to it. */
export async function closed(stream: Readable | Writable): Promise<void> {
  if (!stream.closed) await new Promise<void>((resolve) => stream.once('close', resolve));
}
