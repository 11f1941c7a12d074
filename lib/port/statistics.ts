/** What a port has done, as a plain object: to be logged, or charted. */
import { trace } from '../trace';
import { Histogram, type Distribution } from './histogram';
import type { LaneState } from './lane-events';
import type { Request } from './request';
import { Stopwatch } from './stopwatch';
import { Tally } from './tally';

/** From the start of the port. Above 5000 requests a second the times are those of a sample. */
export interface Figures {
  /** Requests that were settled, one way or the other. */
  readonly requests: number;
  /** Those of them that were rejected. */
  readonly failures: number;
  /** How often a child was started in the place of another. */
  readonly restarts: number;
  /** Milliseconds in which a child had a request to work on; in a total, those of all lanes together. */
  readonly busyMs: number;
  /** From the call until a child was given the request, the last one where there were several. Milliseconds. */
  readonly queueWaitMs: Distribution;
  /** From there to the reply, behind earlier ones of that child too. Milliseconds. */
  readonly runMs: Distribution;
  /** Bytes to the children, their prefixes included. */
  readonly bytesWritten: number;
  /** Bytes from the children. */
  readonly bytesRead: number;
}

export interface LaneStatistics extends Figures {
  readonly lane: number;
  readonly state: LaneState;
}

/** The total has besides what failed in the queue, before any lane had it. */
export interface PortStatistics extends Figures {
  readonly lanes: readonly LaneStatistics[];
}

/** What is asked of a lane. */
export interface Counted {
  readonly state: LaneState;
  readonly restarts: number;
  readonly traffic: { readonly bytesWritten: number; readonly bytesRead: number };
}

/** How often they are published while requests are answered. */
const PUBLISH_EVERY_MS = 1000;

export class Statistics {
  readonly #command: string;
  readonly #lanes: readonly Counted[];
  readonly #tallies: readonly Tally[];
  readonly #stopwatch = new Stopwatch();
  #failuresInQueue = 0;
  #publishedAt = 0;

  constructor(command: string, lanes: readonly Counted[]) {
    this.#command = command;
    this.#lanes = lanes;
    this.#tallies = lanes.map(() => new Tally());
  }

  asked(request: Request): void {
    const sample = this.#stopwatch.sample();
    if (sample === undefined) return;
    const { nowMs, weight } = sample;
    request.timing = { askedAt: nowMs, givenAt: nowMs, weight };
    if (trace.wantsStatistics && nowMs - this.#publishedAt >= PUBLISH_EVERY_MS) this.publish(nowMs);
  }

  given(request: Request, lane: number): void {
    this.#tallies[lane]?.given(request);
  }

  settled(request: Request, isFailure: boolean): void {
    if (request.tally !== undefined) request.tally.settled(request, isFailure);
    else this.#failuresInQueue += 1;
  }

  take(): PortStatistics {
    const lanes = this.#lanes.map((lane, id) => describe(id, lane, this.#tallies[id] ?? new Tally()));
    const sum = (of: (figures: Figures) => number): number => lanes.reduce((total, figures) => total + of(figures), 0);
    const all = (of: (tally: Tally) => Histogram): Distribution => {
      const whole = new Histogram();
      for (const tally of this.#tallies) whole.add(of(tally));
      return whole.distribution;
    };
    return {
      requests: sum(({ requests }) => requests) + this.#failuresInQueue,
      failures: sum(({ failures }) => failures) + this.#failuresInQueue,
      restarts: sum(({ restarts }) => restarts),
      busyMs: sum(({ busyMs }) => busyMs),
      queueWaitMs: all(({ queueWait }) => queueWait),
      runMs: all(({ run }) => run),
      bytesWritten: sum(({ bytesWritten }) => bytesWritten),
      bytesRead: sum(({ bytesRead }) => bytesRead),
      lanes,
    };
  }

  publish(nowMs = performance.now()): void {
    if (!trace.wantsStatistics) return;
    this.#publishedAt = nowMs;
    trace.statistics({ command: this.#command, statistics: this.take() });
  }
}

function describe(lane: number, { state, restarts, traffic }: Counted, tally: Tally): LaneStatistics {
  const { requests, failures, busyMs } = tally;
  const { bytesWritten, bytesRead } = traffic;
  const [queueWaitMs, runMs] = [tally.queueWait.distribution, tally.run.distribution];
  return { lane, state, requests, failures, restarts, busyMs, queueWaitMs, runMs, bytesWritten, bytesRead };
}
