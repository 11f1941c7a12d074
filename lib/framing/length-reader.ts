/** Reads lengths: what a prefix says, in as many pieces as it comes in. */

/** As many as 64 bits need: protobuf's own limit. */
export const MAX_VARINT_BYTES = 10;

/** What each byte of a prefix counts, first byte first, is all there is to a byte order. */
export type Weights = readonly number[];

/** Reads one prefix after another, each in as many pieces as it comes in; what it has of one is held in numbers. */
export interface LengthReader {
  /** Bytes of this prefix so far. */
  readonly takenBytes: number;
  /** How many it has in all; of a varint, how many at least. */
  readonly expectedBytes: number;
  /** Whether the last byte was taken; `messageBytes` counts from then on. */
  readonly complete: boolean;
  /** The length of the message; no length at all (negative, or 2^53 and more) when there is a `fault`. */
  readonly messageBytes: number;
  /** Takes bytes from `at`, up to `end` or the prefix's last; returns the offset behind the last one taken. */
  take(chunk: Uint8Array, at: number, end: number): number;
  /** Why the length is none, as the end of a sentence that begins with "the frame has". */
  fault(): string | undefined;
  /** What the prefix began with, of a reader that keeps it. */
  firstBytes?(): Buffer;
  /** Makes ready for the next prefix. */
  reset(): void;
}

/*
 * Sums of bytes are doubles and never wrap: exact below 2^53, and at or above it exactly when the true sum is.
 */

export class FixedReader implements LengthReader {
  takenBytes = 0;
  complete = false;
  messageBytes = 0;
  #sum = 0;
  readonly #weights: Weights;
  readonly #included: number;

  constructor(weights: Weights, included: number) {
    this.#weights = weights;
    this.#included = included;
  }

  get expectedBytes(): number {
    return this.#weights.length;
  }

  take(chunk: Uint8Array, at: number, end: number): number {
    const weights = this.#weights;
    const start = at - this.takenBytes;
    let taken = this.takenBytes;
    let sum = this.#sum;
    // Four bytes at once, as mostly, need no loop: a tenth of all that a small message costs.
    if (taken === 0 && weights.length === 4 && end - at >= 4) {
      sum = weighed(chunk, at, weights, 0) + weighed(chunk, at, weights, 1);
      sum += weighed(chunk, at, weights, 2) + weighed(chunk, at, weights, 3);
      taken = 4;
    }
    while (taken < weights.length && start + taken < end) sum += weighed(chunk, start, weights, taken++);
    this.takenBytes = taken;
    this.#sum = sum;
    if (taken === weights.length) {
      this.complete = true;
      this.messageBytes = sum - this.#included;
    }
    return start + taken;
  }

  fault(): string | undefined {
    if (this.#sum > Number.MAX_SAFE_INTEGER) return 'a length of 2^53 bytes or more';
    if (this.#sum >= this.#included) return undefined;
    return `a length of ${this.#sum} bytes, which is to count the ${this.#included} of its own prefix too`;
  }

  reset(): void {
    this.takenBytes = 0;
    this.complete = false;
    this.#sum = 0;
  }
}

/** What the byte with that place in a prefix that begins at `start` counts. */
function weighed(chunk: Uint8Array, start: number, weights: Weights, place: number): number {
  return (chunk[start + place] ?? 0) * (weights[place] ?? 0);
}

export class VarintReader implements LengthReader {
  takenBytes = 0;
  complete = false;
  messageBytes = 0;
  #weight = 1;

  get expectedBytes(): number {
    return this.complete ? this.takenBytes : this.takenBytes + 1;
  }

  take(chunk: Uint8Array, at: number, end: number): number {
    while (at < end && !this.complete) {
      const byte = chunk[at++] ?? 0;
      this.messageBytes += (byte % 128) * this.#weight;
      this.#weight *= 128;
      this.takenBytes++;
      if (byte < 128) this.complete = true;
      else if (this.takenBytes === MAX_VARINT_BYTES) {
        this.complete = true;
        this.messageBytes = Infinity;
      }
    }
    return at;
  }

  fault(): string | undefined {
    if (this.messageBytes === Infinity) return `a varint that goes on after its byte ${MAX_VARINT_BYTES}`;
    return this.messageBytes > Number.MAX_SAFE_INTEGER ? 'a length of 2^53 bytes or more' : undefined;
  }

  reset(): void {
    this.takenBytes = 0;
    this.complete = false;
    this.messageBytes = 0;
    this.#weight = 1;
  }
}
