import type { Duplex } from 'node:stream';

/**
 * The chunks of a port, as any Readable gives them, with two differences. Node's own iterator destroys a Duplex whose
 * writable side is still open with an AbortError, also when all was read; this one destroys only when its user leaves early,
 * and without an error. And Node's own is an async generator, in which a `return` waits behind a pending `next`: a reader
 * that leaves while the program is silent would wait for the program.
 */
export class PortIterator implements AsyncIterableIterator<unknown, undefined> {
  readonly #port: Duplex;
  readonly #chunks: AsyncIterator<unknown, undefined>;
  readonly #waiting = new Set<Promise<unknown>>();
  #hasAll = false;

  constructor(port: Duplex) {
    this.#port = port;
    this.#chunks = port.iterator({ destroyOnReturn: false }) as AsyncIterator<unknown, undefined>;
  }

  next(): Promise<IteratorResult<unknown, undefined>> {
    const step = this.#chunks.next().then((result) => {
      this.#waiting.delete(step);
      if (result.done) this.#hasAll = true;
      return result;
    });
    this.#waiting.add(step);
    return step;
  }

  /** Ends the program, unless all was read. A `next` that waits rejects; where nobody handles that, nobody is told. */
  async return(value?: undefined): Promise<IteratorResult<unknown, undefined>> {
    if (!this.#hasAll) {
      // `done` instead of the rejection makes undici close a stream that was cancelled, which throws
      for (const step of this.#waiting) step.catch(() => undefined);
      this.#port.destroy();
    }
    await this.#chunks.return?.();
    return { done: true, value };
  }

  async throw(error: unknown): Promise<IteratorResult<unknown, undefined>> {
    await this.return();
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }
}
