/** How long a child serves by plan. */
import type { LaneSettings } from './lane-events';

export class Lifespan {
  readonly #settings: LaneSettings;
  readonly #onOver: () => void;
  #maxRequests = Infinity;
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
    this.#maxRequests = Math.ceil(maxRequests * share);
    if (maxAgeMs !== undefined) this.#ageTimer = setTimeout(this.#onOver, maxAgeMs * share).unref();
  }

  /** The child has been given so many requests. */
  sent(requests: number): void {
    if (requests >= this.#maxRequests) this.#onOver();
  }

  end(): void {
    clearTimeout(this.#ageTimer);
  }
}
