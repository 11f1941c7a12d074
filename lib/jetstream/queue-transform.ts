import { RequestTransform, type TransformOptions } from '../port/request-transform';
import type { Job } from './job';

/** What `transform(options)` of a PortQueue takes. Only `job` has no default. */
export interface QueueTransformOptions<Request, Reply> extends Pick<
  TransformOptions<Request, Reply>,
  'ordered' | 'onError'
> {
  /** Name of this run of rows: with it another producer takes it up again. Letters, digits, - and _. */
  readonly job: string;
  /** How many replies are safe in the sink already: the source begins at that row. Default 0. */
  readonly from?: number | undefined;
  /**
   * How many rows are between the write and the hand-on, at most. It bounds memory, how far replies are put in order,
   * and what waits at the server. Default 1024.
   */
  readonly window?: number | undefined;
  /** Rows of one message, at most: what is there in a turn of the event loop, never waited for. Default 1. */
  readonly batch?: number | undefined;
  /** Whether the job's replies stay at the server after a good end. Default false. */
  readonly keep?: boolean | undefined;
}

/** What a PortQueue gives its stage. */
interface Facts<Request, Reply> {
  /** @param ended is told when the job is over, and why */
  readonly begin: (ended: (error: Error) => void) => Job;
  readonly ask: (job: Job, row: Request) => Promise<Reply>;
  readonly window: number;
  readonly keep: boolean;
  readonly transform: Pick<TransformOptions<Request, Reply>, 'ordered' | 'onError'>;
}

type Callback = (error?: Error | null) => void;

/** A job as a stage: rows in, replies out, with at most `window` rows in between. Destroyed, it leaves its job to another. */
export class QueueTransform<Request, Reply> extends RequestTransform<Request, Reply> {
  readonly #job: Job;
  readonly #facts: Facts<Request, Reply>;
  /** Rows between the write and the hand-on. */
  #between = 0;
  #state: 'open' | 'finishing' = 'open';
  #finished: Promise<void> | undefined;
  #heldWrite: Callback | undefined;

  constructor(facts: Facts<Request, Reply>) {
    const { begin, ask, window, transform } = facts;
    const { onError } = transform;
    const its: { job?: Job } = {};
    let dropped = (): void => {};
    const counted: typeof onError = async (error, row) => {
      const replacement = await onError?.(error, row);
      if (replacement === undefined) dropped();
      return replacement;
    };
    super(
      {
        request: (row) => (its.job === undefined ? Promise.reject(new Error('expected a job')) : ask(its.job, row)),
        get state() {
          return its.job?.isClosed === true ? 'closed' : 'open';
        },
      },
      window,
      // What is no function is refused there.
      { ...transform, onError: typeof onError === 'function' ? counted : onError },
    );
    dropped = () => this.#passed();
    // The options were found good.
    this.#job = its.job = begin((error) => this.#jobEnded(error));
    this.#facts = facts;
  }

  override _write(row: Request, encoding: BufferEncoding, callback: Callback): void {
    this.#between += 1;
    super._write(row, encoding, (error) => {
      if (error !== undefined && error !== null) callback(error);
      else if (this.#between < this.#facts.window) callback();
      else this.#heldWrite = callback;
    });
  }

  override push(chunk: unknown, encoding?: BufferEncoding): boolean {
    if (chunk !== null) {
      this.#passed();
      return super.push(chunk, encoding);
    }
    // A pipeline is over with the end, and the same job that is begun then must find nothing of this one.
    this.#state = 'finishing';
    this.#finished = this.#job.finish(this.#facts.keep);
    void this.#finished.then(() => {
      if (!this.destroyed) super.push(null);
    });
    return false;
  }

  override _final(callback: Callback): void {
    super._final((error) => {
      if (error !== undefined && error !== null) {
        callback(error);
        return;
      }
      void this.#finished?.then(() => callback());
    });
  }

  override _destroy(error: Error | null, callback: Callback): void {
    super._destroy(error, (later) => {
      const held = this.#heldWrite;
      this.#heldWrite = undefined;
      held?.(later ?? null);
      void this.#job.close(error ?? new Error('the stage was destroyed')).then(() => callback(later ?? null));
    });
  }

  #passed(): void {
    this.#between -= 1;
    const held = this.#heldWrite;
    if (held === undefined || this.#between >= this.#facts.window) return;
    this.#heldWrite = undefined;
    process.nextTick(held);
  }

  #jobEnded(error: Error): void {
    if (this.#state === 'open' && !this.destroyed) this.destroy(error);
  }
}
