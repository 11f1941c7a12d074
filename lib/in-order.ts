import { Fifo } from './fifo';

/**
 * How many results for each one in work may wait for an earlier result. With a window of one, a slow item holds up all
 * others: measured on uneven rows, that took 2.4 times as long.
 */
const WINDOW = 16;

/** A place in the order of results: empty until its work is done. */
export interface Slot<Result> {
  result?: Result;
  isDone: boolean;
}

/**
 * Results in the order in which their work was begun, though the work may end in any order; or in the order in which it
 * ends. Bounded: `hasRoom` says whether more work may begin.
 */
export class InOrder<Result> {
  readonly #concurrency: number;
  readonly #isOrdered: boolean;
  readonly #slots = new Fifo<Slot<Result>>();
  #running = 0;

  /** @param concurrency how many items may be in work at a time */
  constructor(concurrency: number, isOrdered: boolean) {
    this.#concurrency = concurrency;
    this.#isOrdered = isOrdered;
  }

  get hasRoom(): boolean {
    return this.#running < this.#concurrency && this.#slots.length < this.#concurrency * WINDOW;
  }

  /** Whether nothing is in work and no result waits. */
  get isEmpty(): boolean {
    return this.#running === 0 && this.#slots.length === 0;
  }

  /** Work on another item begins. */
  begin(): Slot<Result> {
    const slot: Slot<Result> = { isDone: false };
    this.#running += 1;
    if (this.#isOrdered) this.#slots.push(slot);
    return slot;
  }

  /** The work of that slot has ended. */
  end(slot: Slot<Result>, result: Result): void {
    slot.result = result;
    slot.isDone = true;
    this.#running -= 1;
    if (!this.#isOrdered) this.#slots.push(slot);
  }

  /** The slot whose turn it is, once its work has ended. */
  peek(): Slot<Result> | undefined {
    const slot = this.#slots.peek();
    return slot?.isDone === true ? slot : undefined;
  }

  shift(): void {
    this.#slots.shift();
  }

  /** Forgets all results that wait. */
  clear(): void {
    this.#slots.takeAll();
  }
}
