/** How long a child serves by plan. */
import type { LaneSettings } from './lane-events';

export class Lifespan {
  readonly #settings: LaneSettings;
  readonly #onOver: () => void;
  #maxRequests = Infinity;
  #requests = 0;
  #ageTimer: NodeJS.Timeout | undefined;

  constructor(settings: LaneSettings, onOver: () => void) {
    this.#settings = settings;
    this.#onOver = onOver;
  }

  /** Another child serves from now on. */
  begin(): void {
    this.end();
    const { maxRequests, maxAgeMs, jitter } = this.#settings;
    const share = 1 - jitter * Math.random();
    this.#requests = 0;
    this.#maxRequests = Math.ceil(maxRequests * share);
    if (maxAgeMs !== undefined) this.#ageTimer = setTimeout(this.#onOver, maxAgeMs * share).unref();
  }

  /** The child serves on, for so long: the one that was to take its place could not be started. */
  extend(ms: number): void {
    this.end();
    this.#maxRequests = Infinity;
    this.#ageTimer = setTimeout(this.#onOver, ms).unref();
  }

  /** The child has been given so many requests. */
  sent(requests: number): void {
    this.#requests = requests;
    if (requests >= this.#maxRequests) this.#onOver();
  }

  /** Whether it has been given twice what it was to be given. */
  get isLongOver(): boolean {
    return this.#requests >= 2 * this.#maxRequests;
  }

  end(): void {
    clearTimeout(this.#ageTimer);
  }
}
