import { Histogram } from './histogram';
import type { Request, RequestTally } from './request';

/** What became of the requests that one lane was given. */
export class Tally implements RequestTally {
  /** Those that were settled while the lane had them. */
  requests = 0;
  failures = 0;
  readonly queueWait = new Histogram();
  readonly run = new Histogram();

  /** Milliseconds that the children worked on those that were timed. */
  #workMs = 0;
  #lastReplyAt = 0;
  /** A reply is begun when the one before it is done: of a timed request, that one's time is needed too. */
  #last: Request | undefined;

  /** The lane takes the request from the queue. */
  given(request: Request): void {
    request.tally = this;
    if (request.timing !== undefined) {
      request.timing.givenAt = performance.now();
      if (this.#last !== undefined) this.#last.isFollowedByTimed = true;
    }
    this.#last = request;
  }

  handedBack(request: Request): void {
    request.tally = undefined;
    this.#forget(request);
  }

  settled(request: Request, isFailure: boolean): void {
    this.requests += 1;
    if (isFailure) this.failures += 1;
    this.#forget(request);
    const { timing, isFollowedByTimed } = request;
    if (timing === undefined && !isFollowedByTimed) return;
    const nowMs = performance.now();
    if (timing !== undefined) {
      this.queueWait.record(timing.givenAt - timing.askedAt);
      this.run.record(nowMs - timing.givenAt);
      this.#workMs += nowMs - Math.max(timing.givenAt, this.#lastReplyAt);
    }
    this.#lastReplyAt = nowMs;
  }

  /** Milliseconds that the children worked: what those took that were timed, as if the others had taken the same. */
  get busyMs(): number {
    return this.run.count === 0 ? 0 : (this.#workMs / this.run.count) * this.requests;
  }

  /** Its message is not ours to keep. */
  #forget(request: Request): void {
    if (this.#last === request) this.#last = undefined;
  }
}
