import { Fifo } from '../fifo';
import { UNWRITTEN, type Request, type RequestPlace, type Wait } from './request';

/** How many settled requests may lie among the waiting, plus once the number that wait. */
const MAX_SETTLED = 64;

/** Requests that wait for a child, first come first. One that was settled meanwhile is passed over. */
export class RequestQueue implements RequestPlace {
  readonly #requests = new Fifo<Request>();
  #length = 0;

  /** How many wait, without the settled ones. */
  get length(): number {
    return this.#length;
  }

  push(request: Request): void {
    this.#requests.push(request);
    this.#length += 1;
  }

  /** Requests that a dead child never answered: they were first, and are again. */
  putBack(requests: readonly Request[]): void {
    for (const request of requests) {
      request.place = this;
      request.sequence = UNWRITTEN;
    }
    this.#requests.putBack(requests);
    this.#length += requests.length;
  }

  peek(): Request | undefined {
    let first = this.#requests.peek();
    while (first?.isSettled) {
      this.#requests.shift();
      first = this.#requests.peek();
    }
    return first;
  }

  shift(): Request | undefined {
    const request = this.peek();
    if (request === undefined) return undefined;
    this.#requests.shift();
    this.#length -= 1;
    return request;
  }

  takeAll(): Request[] {
    this.#length = 0;
    return this.#requests.takeAll().filter(({ isSettled }) => !isSettled);
  }

  toArray(): Request[] {
    return this.#requests.toArray().filter(({ isSettled }) => !isSettled);
  }

  waitOf(): Wait {
    return { phase: 'queue' };
  }

  /** Where the first waits for long, requests behind it that come and give up must not pile up. */
  givenUp(): void {
    this.#length -= 1;
    if (this.#requests.length > 2 * this.#length + MAX_SETTLED) this.#requests.keep(({ isSettled }) => !isSettled);
  }

  reconsider(): void {
    // Nobody's child has to do with a request that waits.
  }
}
