/** Which requests are timed: to read the clock takes a tenth of the time of a small request. */

/** So many timed requests a millisecond cost next to nothing. */
const PER_MS = 5;
/** So many may come at once. */
const BURST = 2000;
/** Of those above, one in so many is timed. */
const STRIDE = 128;

/** All are timed up to 5000 a second; above that a sample is. */
export class Stopwatch {
  #budget = BURST;
  #readAt = performance.now();
  #skip = 0;

  /** @returns the time in milliseconds, or undefined where this request is not to be timed */
  sample(): number | undefined {
    if (this.#skip > 0) {
      this.#skip -= 1;
      return undefined;
    }
    const nowMs = performance.now();
    this.#budget = Math.min(BURST, this.#budget + (nowMs - this.#readAt) * PER_MS) - 1;
    this.#readAt = nowMs;
    if (this.#budget < 0) this.#skip = STRIDE - 1;
    return nowMs;
  }
}
