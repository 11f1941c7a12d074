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

  /** Something may have changed. */
  advance(): void {
    if (this.#due.size === 0) return;
    for (const lane of this.#due) {
      if (!this.#isTurnOf(lane)) continue;
      this.#due.delete(lane);
      lane.replace();
    }
    if (this.#due.size > 0) this.#lookAgain();
  }

  /** A child that is not asked shows that it is well by living. */
  #lookAgain(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.advance();
    }, this.#minUptimeMs).unref();
  }

  /** When all others that were started are known to be well; for one that has waited for long, when one of them is. */
  #isTurnOf(lane: Lane): boolean {
    const others = this.#lanes.filter(
      (other) => other !== lane && (other.state === 'ready' || other.state === 'starting'),
    );
    const unproven = others.filter((other) => other.isUnproven).length;
    return unproven === 0 || (lane.lifespan.isLongOver && unproven < others.length);
  }

  end(): void {
    this.#due.clear();
    clearTimeout(this.#timer);
  }
}
