import type { Request, RequestHolder, RequestPhase } from './request';

/** So many settled ones may lie among the waiting, and once as many as wait. */
const MAX_SETTLED = 64;

/** Requests that wait for a child, first come first. One that was settled meanwhile is passed over. */
export class RequestQueue implements RequestHolder {
  #requests: Request[] = [];
  #first = 0;
  #length = 0;

  /** How many wait, without the settled ones. */
  get length(): number {
    return this.#length;
  }

  push(request: Request): void {
    request.holder = this;
    this.#requests.push(request);
    this.#length += 1;
  }

  /** Those a dead child never answered: they were first, and are again. */
  putBack(requests: readonly Request[]): void {
    for (const request of requests) request.holder = this;
    this.#requests = [...requests, ...this.#requests.slice(this.#first)];
    this.#first = 0;
    this.#length += requests.length;
  }

  peek(): Request | undefined {
    while (this.#requests[this.#first]?.isSettled) this.#first += 1;
    return this.#requests[this.#first];
  }

  shift(): Request | undefined {
    const request = this.peek();
    if (request === undefined) return undefined;
    this.#first += 1;
    this.#length -= 1;
    // What was passed is let go in large steps: a shift of a long array copies it.
    if (this.#first >= 1024 || this.#first === this.#requests.length) {
      this.#requests = this.#requests.slice(this.#first);
      this.#first = 0;
    }
    return request;
  }

  takeAll(): Request[] {
    const waiting = this.#waiting();
    this.#requests = [];
    this.#first = 0;
    this.#length = 0;
    return waiting;
  }

  forEach(visit: (request: Request) => void): void {
    for (const request of this.#waiting()) visit(request);
  }

  /** Where the first waits for long, those behind it that come and give up must not pile up. */
  abandoned(): void {
    this.#length -= 1;
    if (this.#requests.length - this.#first <= 2 * this.#length + MAX_SETTLED) return;
    this.#requests = this.#waiting();
    this.#first = 0;
  }

  phaseOf(): RequestPhase {
    return 'queue';
  }

  #waiting(): Request[] {
    return this.#requests.slice(this.#first).filter((request) => !request.isSettled);
  }
}
