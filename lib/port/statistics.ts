/** What a port has done, as a plain object: to be logged, or charted. */
import { trace } from '../trace';
import type { Request, RequestCounters } from './request';

// Durations by the thousand in a few kilobytes: what a chart needs of them, and no list of all.

/** Durations, in milliseconds; all 0 where there were none. */
export interface Distribution {
  /** Their sum by their number. */
  readonly mean: number;
  /** Half of them took no longer; accurate to 2 %. */
  readonly p50: number;
  /** 99 of 100 took no longer; accurate to 2 %. */
  readonly p99: number;
}

/** Each doubling of the time is cut into this many buckets: a bucket is then at most 1/32 of its value wide. */
const CUTS = 32;
const CUT_BITS = 5;
/** Below this many microseconds each has a bucket of its own. */
const LINEAR_US = 2 * CUTS;
const MOST_US = 2 ** 31 - 1;

/** Milliseconds, counted by the microsecond up to 36 minutes; what is longer counts as that, but for the mean. */
export class Histogram {
  count = 0;

  #sumMs = 0;
  readonly #buckets = new Map<number, number>();

  /** @param weight how often */
  record(ms: number, weight = 1): void {
    this.count += weight;
    this.#sumMs += ms * weight;
    const bucket = bucketOf(Math.min(Math.round(ms * 1000), MOST_US));
    this.#buckets.set(bucket, (this.#buckets.get(bucket) ?? 0) + weight);
  }

  add(other: Histogram): void {
    this.count += other.count;
    this.#sumMs += other.#sumMs;
    for (const [bucket, count] of other.#buckets) this.#buckets.set(bucket, (this.#buckets.get(bucket) ?? 0) + count);
  }

  /** In milliseconds; all 0 where nothing was recorded. */
  get distribution(): Distribution {
    return {
      mean: this.count === 0 ? 0 : this.#sumMs / this.count,
      p50: this.#quantile(0.5),
      p99: this.#quantile(0.99),
    };
  }

  #quantile(share: number): number {
    let left = Math.ceil(share * this.count);
    for (const [bucket, count] of [...this.#buckets].sort(([a], [b]) => a - b)) {
      left -= count;
      if (left <= 0) return middleOf(bucket) / 1000;
    }
    return 0;
  }
}

function bucketOf(us: number): number {
  if (us < LINEAR_US) return us;
  const shift = 31 - Math.clz32(us) - CUT_BITS;
  return shift * CUTS + (us >>> shift);
}

/** The value in the middle of a bucket. */
function middleOf(bucket: number): number {
  if (bucket < LINEAR_US) return bucket;
  const shift = Math.floor(bucket / CUTS) - 1;
  return (bucket - shift * CUTS + 0.5) * 2 ** shift - 0.5;
}

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
  /** Replies that came when their requests were given up already; with a protocol that has ids. */
  readonly lateReplies: number;
  /** Bytes to the children, those of the framing included. */
  readonly bytesWritten: number;
  /** Bytes from the children. */
  readonly bytesRead: number;
}

/** What a lane does: it has no child (`idle`), or one that starts, serves, is waited for before a restart, or was given up. */
export type LaneState = 'idle' | 'starting' | 'ready' | 'backoff' | 'broken' | 'closed';

/** What one lane has done: the place of one child and of those after it. */
export interface LaneStatistics extends Figures {
  /** Its number, from 0. */
  readonly lane: number;
  /** What it does now. */
  readonly state: LaneState;
}

/** The total also has what failed in the queue, before any lane had it. */
export interface PortStatistics extends Figures {
  /** The same for each lane, by its number. One in a Port, `size` of them in a pool. */
  readonly lanes: readonly LaneStatistics[];
}

/** What a child has seen so far. */
interface Traffic {
  readonly bytesWritten: number;
  readonly bytesRead: number;
  readonly lateReplies: number;
}

/** What became of the requests that one lane was given, and the bytes of its children, of those that are gone too. */
export class LaneCounters implements RequestCounters {
  /** Requests that were settled while the lane had them. */
  requests = 0;
  failures = 0;
  readonly queueWait = new Histogram();
  readonly run = new Histogram();

  readonly #open = new Set<Traffic>();
  #gone: Traffic = { bytesWritten: 0, bytesRead: 0, lateReplies: 0 };
  #inHand = 0;
  #busySince = 0;
  #busyMs = 0;

  /** Of all its children. */
  get traffic(): Traffic {
    return [...this.#open].reduce(plus, this.#gone);
  }

  /** Milliseconds in which the lane had a request in hand. */
  get busyMs(): number {
    return this.#busyMs + (this.#inHand > 0 ? performance.now() - this.#busySince : 0);
  }

  opened(child: Traffic): void {
    this.#open.add(child);
  }

  gone(child: Traffic): void {
    if (this.#open.delete(child)) this.#gone = plus(this.#gone, child);
  }

  given(request: Request): void {
    const { timing } = request;
    if (this.#inHand === 0 || timing !== undefined) {
      const nowMs = performance.now();
      if (this.#inHand === 0) this.#busySince = nowMs;
      if (timing !== undefined) timing.givenAt = nowMs;
    }
    this.#inHand += 1;
    request.counters = this;
  }

  /** The request goes back to the queue. */
  handedBack(request: Request): void {
    request.counters = undefined;
    this.#release();
  }

  settled({ timing, state }: Request): void {
    this.requests += 1;
    if (state === 'rejected') this.failures += 1;
    this.#release();
    if (timing === undefined) return;
    const { askedAt, givenAt, weight } = timing;
    this.queueWait.record(givenAt - askedAt, weight);
    this.run.record(performance.now() - givenAt, weight);
  }

  #release(): void {
    this.#inHand -= 1;
    if (this.#inHand === 0) this.#busyMs += performance.now() - this.#busySince;
  }
}

function plus(one: Traffic, other: Traffic): Traffic {
  return {
    bytesWritten: one.bytesWritten + other.bytesWritten,
    bytesRead: one.bytesRead + other.bytesRead,
    lateReplies: one.lateReplies + other.lateReplies,
  };
}

// To read the clock takes a tenth of the time of a small request.

/** This many timed requests in a millisecond cost next to nothing. */
const PER_MS = 5;
/** This many may come at once. */
const BURST = 2000;
/** Of those above, one in this many is timed: on average, for requests come and go in step. */
const STRIDE = 128;

interface Sample {
  readonly nowMs: number;
  readonly weight: number;
}

/** Which requests are timed: all of them up to 5000 a second; above that a sample. */
export class Stopwatch {
  #budget = BURST;
  #readAt = performance.now();
  #skip = 0;
  #skipped = 0;

  /** @returns when it is, and for how many requests this one stands; undefined where it is not to be timed */
  sample(): Sample | undefined {
    if (this.#skip > 0) {
      this.#skip -= 1;
      return undefined;
    }
    const nowMs = performance.now();
    const weight = this.#skipped + 1;
    this.#budget = Math.min(BURST, this.#budget + (nowMs - this.#readAt) * PER_MS) - 1;
    this.#readAt = nowMs;
    this.#skipped = this.#budget < 0 ? Math.floor(Math.random() * 2 * STRIDE) : 0;
    this.#skip = this.#skipped;
    return { nowMs, weight };
  }
}

/** What is asked of a lane. */
interface CountedLane {
  readonly state: LaneState;
  readonly restarts: number;
  readonly counters: LaneCounters;
}

/** How often they are published while requests are answered. */
const PUBLISH_EVERY_MS = 1000;

export class Statistics {
  readonly #command: string;
  readonly #lanes: readonly CountedLane[];
  readonly #stopwatch = new Stopwatch();
  #failuresInQueue = 0;
  #publishedAt = 0;

  constructor(command: string, lanes: readonly CountedLane[]) {
    this.#command = command;
    this.#lanes = lanes;
  }

  asked(request: Request): void {
    const sample = this.#stopwatch.sample();
    if (sample === undefined) return;
    const { nowMs, weight } = sample;
    request.timing = { askedAt: nowMs, givenAt: nowMs, weight };
    if (trace.wantsStatistics && nowMs - this.#publishedAt >= PUBLISH_EVERY_MS) this.publish(nowMs);
  }

  settled(request: Request): void {
    if (request.counters === undefined) this.#failuresInQueue += 1;
    else request.counters.settled(request);
  }

  take(): PortStatistics {
    const lanes = this.#lanes.map(describe);
    const sum = (of: (figures: Figures) => number): number => lanes.reduce((total, figures) => total + of(figures), 0);
    const all = (of: (counters: LaneCounters) => Histogram): Distribution => {
      const whole = new Histogram();
      for (const { counters } of this.#lanes) whole.add(of(counters));
      return whole.distribution;
    };
    return {
      requests: sum(({ requests }) => requests) + this.#failuresInQueue,
      failures: sum(({ failures }) => failures) + this.#failuresInQueue,
      restarts: sum(({ restarts }) => restarts),
      busyMs: sum(({ busyMs }) => busyMs),
      queueWaitMs: all(({ queueWait }) => queueWait),
      runMs: all(({ run }) => run),
      lateReplies: sum(({ lateReplies }) => lateReplies),
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

function describe({ state, restarts, counters }: CountedLane, lane: number): LaneStatistics {
  const { requests, failures, busyMs, traffic } = counters;
  const [queueWaitMs, runMs] = [counters.queueWait.distribution, counters.run.distribution];
  return { lane, state, requests, failures, restarts, busyMs, queueWaitMs, runMs, ...traffic };
}
