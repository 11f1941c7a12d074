/** Lets children go that have nothing to do. */
import type { Lane } from './lane';

/** Whether a child had nothing to do is looked at, not timed: so one stays for up to a quarter longer than it might. */
const LOOKS = 4;

export class IdleLanes {
  readonly #lanes: readonly Lane[];
  readonly #minSize: number;
  readonly #idleTimeoutMs: number | undefined;
  /** What each had been given, and at how many looks it had not been given more. */
  readonly #seen = new Map<Lane, { readonly bytesWritten: number; readonly looks: number }>();
  #timer: NodeJS.Timeout | undefined;

  constructor(lanes: readonly Lane[], minSize: number, idleTimeoutMs: number | undefined) {
    this.#lanes = lanes;
    this.#minSize = minSize;
    this.#idleTimeoutMs = idleTimeoutMs;
  }

  /** A child is up. */
  watch(): void {
    if (this.#idleTimeoutMs === undefined) return;
    this.#timer ??= setInterval(() => this.#look(), this.#idleTimeoutMs / LOOKS).unref();
  }

  end(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#seen.clear();
  }

  /** The last ones go first: of those with nothing to do the first is asked. */
  #look(): void {
    let spare = this.#lanes.filter(({ state }) => state === 'ready').length - this.#minSize;
    for (const lane of this.#lanes.toReversed()) {
      if (this.#hasBeenIdle(lane) && spare > 0 && lane.letGo()) spare -= 1;
    }
    if (this.#lanes.every(({ state }) => state === 'idle' || state === 'broken')) this.end();
  }

  #hasBeenIdle(lane: Lane): boolean {
    const { bytesWritten } = lane.traffic;
    const seen = this.#seen.get(lane);
    const isIdle = lane.inFlight === 0 && seen?.bytesWritten === bytesWritten;
    const looks = isIdle ? seen.looks + 1 : 0;
    this.#seen.set(lane, { bytesWritten, looks });
    return looks >= LOOKS;
  }
}
