/** Which requests are timed: to read the clock takes a tenth of the time of a small request. */

/** So many timed requests a millisecond cost next to nothing. */
const PER_MS = 5;
/** So many may come at once. */
const BURST = 2000;
/** Of those above, one in so many is timed: on average, for requests come and go in step. */
const STRIDE = 128;

export interface Sample {
  readonly nowMs: number;
  readonly weight: number;
}

/** All are timed up to 5000 a second; above that a sample is. */
export class Stopwatch {
  #budget = BURST;
  #readAt = performance.now();
  #skip = 0;
  #skipped = 0;

  /** @returns when it is, and for how many requests this one stands; undefined where it is not to be timed */
  sample(): Sample | undefined {
    if (this.#skip > 0) {
      this.#skip -= 1;
      return undefined;
    }
    const nowMs = performance.now();
    const weight = this.#skipped + 1;
    this.#budget = Math.min(BURST, this.#budget + (nowMs - this.#readAt) * PER_MS) - 1;
    this.#readAt = nowMs;
    this.#skipped = this.#budget < 0 ? Math.floor(Math.random() * 2 * STRIDE) : 0;
    this.#skip = this.#skipped;
    return { nowMs, weight };
  }
}
