/** Durations by the thousand in a few kilobytes: what a chart needs of them, and no list of all. */

export interface Distribution {
  readonly mean: number;
  /** Half of them took no longer; true to 2 %, as `p99` is. */
  readonly p50: number;
  readonly p99: number;
}

/** Each doubling of the time is cut into so many buckets: a bucket is then at most 1/32 of its value wide. */
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
