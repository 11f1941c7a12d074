import { Histogram } from './histogram';
import type { Request, RequestTally } from './request';

/** What became of the requests that one lane was given. */
export class Tally implements RequestTally {
  /** Those that were settled while the lane had them. */
  requests = 0;
  failures = 0;
  readonly queueWait = new Histogram();
  readonly run = new Histogram();

  #inHand = 0;
  #busySince = 0;
  #busyMs = 0;

  /** Milliseconds in which the lane had a request in hand. */
  get busyMs(): number {
    return this.#busyMs + (this.#inHand > 0 ? performance.now() - this.#busySince : 0);
  }

  given(request: Request): void {
    const { timing } = request;
    if (this.#inHand === 0 || timing !== undefined) {
      const nowMs = performance.now();
      if (this.#inHand === 0) this.#busySince = nowMs;
      if (timing !== undefined) timing.givenAt = nowMs;
    }
    this.#inHand += 1;
    request.tally = this;
  }

  handedBack(request: Request): void {
    request.tally = undefined;
    this.#letGo();
  }

  settled({ timing }: Request, isFailure: boolean): void {
    this.requests += 1;
    if (isFailure) this.failures += 1;
    this.#letGo();
    if (timing === undefined) return;
    const { askedAt, givenAt, weight } = timing;
    this.queueWait.record(givenAt - askedAt, weight);
    this.run.record(performance.now() - givenAt, weight);
  }

  #letGo(): void {
    this.#inHand -= 1;
    if (this.#inHand === 0) this.#busyMs += performance.now() - this.#busySince;
  }
}
