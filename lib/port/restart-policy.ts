/**
 * Whether a child that has died is restarted, and after how long. Pure: the time is an argument, and nothing is done.
 *
 * The words are OTP's (https://www.erlang.org/doc/system/sup_princ.html): restart types, and an intensity, here
 * `maxRestarts`, within a period, here `withinMs`. One thing differs: a reply clears the record, for a program that
 * works and now and then dies of its input must not be given up.
 */

export interface RestartOptions {
  /**
   * When a child that died by itself is restarted: always (`'permanent'`), only after an end that is no success
   * (`'transient'`), or never (`'temporary'`). Default `'permanent'`.
   */
  readonly restart: 'permanent' | 'transient' | 'temporary';
  /** More crashes than this within `withinMs`, with no reply between them, break the port. Default 5. */
  readonly maxRestarts: number;
  /** The period, in milliseconds, in which more than `maxRestarts` crashes break the port. Default 30 000. */
  readonly withinMs: number;
  /**
   * The longest wait before a restart doubles from `minMs` to `maxMs`; the wait is drawn between 0 and that. Default
   * `{ minMs: 100, maxMs: 30_000 }`.
   */
  readonly backoff: { readonly minMs: number; readonly maxMs: number };
  /** A child that lived for this many milliseconds, or has answered, is replaced at once. Default 1000. */
  readonly minUptimeMs: number;
}

export interface Death {
  readonly nowMs: number;
  readonly uptimeMs: number;
  readonly hasAnswered: boolean;
  /** An exit with one of the `successCodes`. */
  readonly isSuccess: boolean;
}

/**
 * How many requests in a row may be found poisonous, with no reply between them, by a program that has answered before.
 * One that never has is given up after `maxRestarts`: not its requests are at fault.
 */
const MAX_POISON_IN_A_ROW = 100;

/** 1 ms doubled so often is longer than a timer takes; 0 doubled without end would be no number. */
const MAX_DOUBLINGS = 31;

export type Verdict = { readonly kind: 'restart'; readonly delayMs: number } | { readonly kind: 'give up' };

export class RestartPolicy {
  readonly #options: RestartOptions;
  readonly #random: () => number;
  #crashTimes: number[] = [];
  #backoffSteps = 0;
  #poisonInARow = 0;

  /** @param random for the jitter: a number from 0 to less than 1 */
  constructor(options: RestartOptions, random: () => number = Math.random) {
    this.#options = options;
    this.#random = random;
  }

  /** How often the child was restarted since its record was last clear. */
  get recentRestarts(): number {
    return Math.max(0, this.#crashTimes.length - 1);
  }

  /** The child died by itself. */
  died(death: Death): Verdict {
    const { restart } = this.#options;
    if (restart === 'temporary' || (restart === 'transient' && death.isSuccess)) return { kind: 'give up' };
    return this.crashed(death);
  }

  /** The same of one that is replaced already, or that was to replace another: the type of restart is not asked. */
  crashed({ nowMs, uptimeMs, hasAnswered }: Death): Verdict {
    const { maxRestarts, withinMs, minUptimeMs } = this.#options;
    this.#crashTimes = this.#crashTimes.filter((time) => nowMs - time < withinMs);
    this.#crashTimes.push(nowMs);
    if (this.#crashTimes.length > maxRestarts) return { kind: 'give up' };
    const isHealthy = hasAnswered || uptimeMs >= minUptimeMs;
    if (isHealthy) this.#backoffSteps = 0;
    return { kind: 'restart', delayMs: isHealthy ? 0 : this.#nextDelay() };
  }

  /** A reply came: what happened before it is forgiven. */
  answered(): void {
    this.#poisonInARow = 0;
    if (this.#crashTimes.length > 0) this.reset();
  }

  /** The last crashes were one poisonous request's, not the child's. */
  forgive(crashes: number): void {
    this.#crashTimes.splice(-crashes);
    this.#backoffSteps = Math.max(0, this.#backoffSteps - crashes);
  }

  /**
   * Two children died of one request: the first crash is forgiven, the second is not to be counted. That is believed of
   * a limited number of requests with no reply between them.
   * @param hasWorked whether any child of this program has ever answered
   */
  foundPoison(hasWorked: boolean): Verdict {
    const { maxRestarts } = this.#options;
    this.forgive(1);
    this.#poisonInARow += 1;
    const limit = hasWorked ? Math.max(maxRestarts, MAX_POISON_IN_A_ROW) : maxRestarts;
    return this.#poisonInARow > limit ? { kind: 'give up' } : { kind: 'restart', delayMs: 0 };
  }

  reset(): void {
    this.#crashTimes = [];
    this.#backoffSteps = 0;
    this.#poisonInARow = 0;
  }

  /** Full jitter: many that died of one cause must not come back at one moment. */
  #nextDelay(): number {
    const { minMs, maxMs } = this.#options.backoff;
    const ceilingMs = Math.min(maxMs, minMs * 2 ** Math.min(this.#backoffSteps, MAX_DOUBLINGS));
    this.#backoffSteps += 1;
    return Math.round(this.#random() * ceilingMs);
  }
}
