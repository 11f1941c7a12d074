/** Deadlines by the thousand, for the cost of one timer. */
import { Fifo } from '../fifo';

/** How many cleared deadlines may lie among the live ones, plus once their number. */
const MAX_CLEARED = 64;
/** Timers count whole milliseconds from the beginning of their turn of the event loop, and so may fire that much early. */
const TIMER_SLACK_MS = 1;

export interface Deadline<T> {
  readonly item: T;
  /** On the clock of `performance.now()`. */
  readonly atMs: number;
  readonly series: Series<T>;
  isLive: boolean;
}

/** Deadlines of one length of time, which are due in the order in which they were set. */
interface Series<T> {
  readonly afterMs: number;
  readonly waiting: Fifo<Deadline<T>>;
  live: number;
  timer: NodeJS.Timeout;
}

/**
 * Most deadlines of a port are of one length, and most are cleared before they are due: so a length has one timer, for
 * the first of its deadlines, and to set or clear a deadline touches no timer.
 */
export class Deadlines<T> {
  readonly #onDue: (items: T[]) => void;
  readonly #series = new Map<number, Series<T>>();

  /** @param onDue called with all that are due at one time, in order; their deadlines are cleared by then */
  constructor(onDue: (items: T[]) => void) {
    this.#onDue = onDue;
  }

  set(item: T, afterMs: number, nowMs: number): Deadline<T> {
    let series = this.#series.get(afterMs);
    if (series === undefined) {
      const timer = setTimeout(() => this.#expire(afterMs), afterMs).unref();
      series = { afterMs, waiting: new Fifo(), live: 0, timer };
      this.#series.set(afterMs, series);
    }
    const deadline: Deadline<T> = { item, atMs: nowMs + afterMs, series, isLive: true };
    series.waiting.push(deadline);
    series.live += 1;
    return deadline;
  }

  clear(deadline: Deadline<T>): void {
    if (!deadline.isLive) return;
    deadline.isLive = false;
    const { series } = deadline;
    series.live -= 1;
    if (series.waiting.length > 2 * series.live + MAX_CLEARED) series.waiting.keep(({ isLive }) => isLive);
  }

  /** No deadline is left, and no timer. */
  end(): void {
    for (const { timer } of this.#series.values()) clearTimeout(timer);
    this.#series.clear();
  }

  #expire(afterMs: number): void {
    const series = this.#series.get(afterMs);
    if (series === undefined) return;
    const { waiting } = series;
    const nowMs = performance.now();
    const due: T[] = [];
    for (let next = waiting.peek(); next !== undefined; next = waiting.peek()) {
      if (next.isLive && next.atMs > nowMs + TIMER_SLACK_MS) break;
      waiting.shift();
      if (!next.isLive) continue;
      next.isLive = false;
      series.live -= 1;
      due.push(next.item);
    }
    const next = waiting.peek();
    if (next === undefined) this.#series.delete(afterMs);
    else series.timer = setTimeout(() => this.#expire(afterMs), Math.max(1, Math.ceil(next.atMs - nowMs))).unref();
    if (due.length > 0) this.#onDue(due);
  }
}
