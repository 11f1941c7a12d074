/** Planned replacement, one lane after another: many that start at once would leave nobody to answer. */
import type { Lane } from './lane';

export class Turns {
  readonly #lanes: readonly Lane[];
  readonly #minUptimeMs: number;
  /** First come, first served. */
  readonly #due = new Set<Lane>();
  #timer: NodeJS.Timeout | undefined;

  constructor(lanes: readonly Lane[], minUptimeMs: number) {
    this.#lanes = lanes;
    this.#minUptimeMs = minUptimeMs;
  }

  add(id: number): void {
    const lane = this.#lanes[id];
    if (lane !== undefined) this.#due.add(lane);
    this.advance();
  }

  /** Something may have changed: the next one's turn has come when all others that were started are known to be well. */
  advance(): void {
    if (this.#due.size === 0) return;
    for (const lane of this.#due) {
      if (this.#lanes.some((other) => other !== lane && other.isUnproven)) break;
      this.#due.delete(lane);
      lane.replace();
    }
    clearTimeout(this.#timer);
    // A child that is not asked shows that it is well by living.
    if (this.#due.size > 0) this.#timer = setTimeout(() => this.advance(), this.#minUptimeMs).unref();
  }

  end(): void {
    this.#due.clear();
    clearTimeout(this.#timer);
  }
}
