/** What a batch is written to: `cork` and `uncork` of a Writable, and its `write`. */
export interface BatchSink {
  cork(): void;
  uncork(): void;
  write(chunk: Buffer, callback?: (error?: Error | null) => void): boolean;
}

export interface BatchSource {
  /** What is to leave next, in order; empty where nothing waits. */
  nextBatch(): Buffer[];
  /** The system has taken the batch, or the write failed. */
  batchTaken(error: Error | null | undefined): void;
}

/**
 * Has the frames of one tick leave as one batch, one batch after the other: a write for each frame costs a system call
 * each, and wakes the reader for one message.
 */
export class BatchSender {
  readonly #sink: BatchSink;
  readonly #source: BatchSource;
  #state: 'idle' | 'due' | 'out' = 'idle';
  readonly #onTick = (): void => {
    if (this.#state !== 'due') return;
    this.#state = 'idle';
    this.send();
  };
  readonly #onTaken = (error?: Error | null): void => {
    this.#state = 'idle';
    this.#source.batchTaken(error);
    this.send();
  };

  constructor(sink: BatchSink, source: BatchSource) {
    this.#sink = sink;
    this.#source = source;
  }

  /** Whether nothing is on its way and nothing is to be sent in this tick. */
  get isIdle(): boolean {
    return this.#state === 'idle';
  }

  get isOut(): boolean {
    return this.#state === 'out';
  }

  /** Sends at the end of this tick, or when the batch before has been taken. */
  schedule(): void {
    if (this.#state !== 'idle') return;
    this.#state = 'due';
    process.nextTick(this.#onTick);
  }

  /** Sends now, unless a batch is on its way. */
  send(): void {
    if (this.#state === 'out') return;
    const chunks = this.#source.nextBatch();
    const last = chunks.pop();
    if (last === undefined) return;
    this.#state = 'out';
    // Corked, the pieces of a batch leave in one system call; one alone would only take the longer way.
    if (chunks.length === 0) {
      this.#sink.write(last, this.#onTaken);
      return;
    }
    this.#sink.cork();
    for (const chunk of chunks) this.#sink.write(chunk);
    this.#sink.write(last, this.#onTaken);
    this.#sink.uncork();
  }
}
