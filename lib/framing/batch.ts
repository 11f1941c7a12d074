/** A slab for a trickle of messages: what an idle writer holds. */
const SMALL_SLAB_BYTES = 8 * 1024;
/**
 * A slab for a flood: all that an encoder takes before it says stop, 128 KiB and one message, so that a batch is one chunk
 * and, as it is more than a port takes before it says stop, one turn of its sender.
 */
const SLAB_BYTES = 144 * 1024;

const NO_SLAB = new Uint8Array(0);

/**
 * What a writer has not handed on: many small messages in one chunk, and views on long ones in between.
 *
 * A writer asks for `room`, fills `slab` from there on, and says with `wrote` up to where.
 */
export class Batch {
  /** Filled from the front and never rewound: what was taken from it is in use elsewhere. */
  slab = NO_SLAB;
  #taken = 0;
  #filled = 0;
  /** What is in slabs of what was not taken. */
  #slabBytes = 0;
  /** Whether the last batch outgrew a small slab, as then the next one will. */
  #isFlood = false;
  #chunks: Buffer[] = [];
  #pendingBytes = 0;

  /** Bytes added and not yet taken. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Where in `slab` the next bytes go; there is room for as many as that. */
  room(bytes: number): number {
    if (this.slab.length - this.#filled < bytes) {
      this.#seal();
      this.#isFlood ||= this.#slabBytes > 0 && this.#slabBytes + bytes > SMALL_SLAB_BYTES;
      const usual = this.#isFlood ? SLAB_BYTES : SMALL_SLAB_BYTES;
      this.#begin(new Uint8Array(Buffer.allocUnsafeSlow(Math.max(usual, bytes)).buffer));
    }
    return this.#filled;
  }

  /** @param end the offset in `slab` behind what was written there */
  wrote(end: number): void {
    const bytes = end - this.#filled;
    this.#filled = end;
    this.#slabBytes += bytes;
    this.#pendingBytes += bytes;
  }

  /** Adds a chunk that is not copied. */
  pass(chunk: Buffer): void {
    this.#seal();
    this.#chunks.push(chunk);
    this.#pendingBytes += chunk.length;
  }

  /** All that was added, in order: chunks of up to 144 KiB, and those that were passed. None is empty. */
  take(): Buffer[] {
    const isFlood = this.#isFlood && this.#slabBytes > SMALL_SLAB_BYTES;
    this.#seal();
    // Another batch like this one would be cut in two where the slab ends; and a trickle needs no large one.
    if (isFlood !== this.#isFlood || this.slab.length - this.#filled < this.#slabBytes) this.#begin(NO_SLAB);
    this.#isFlood = isFlood;
    this.#slabBytes = 0;
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#pendingBytes = 0;
    return chunks;
  }

  #seal(): void {
    if (this.#filled === this.#taken) return;
    this.#chunks.push(Buffer.from(this.slab.buffer, this.#taken, this.#filled - this.#taken));
    this.#taken = this.#filled;
  }

  #begin(slab: Uint8Array<ArrayBuffer>): void {
    this.slab = slab;
    this.#taken = 0;
    this.#filled = 0;
  }
}
