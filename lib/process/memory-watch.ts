/**
 * Looks at a child's memory between its requests. A look reads a file of /proc, so there is one after an answer, and then
 * none for a while: what was answered meanwhile is looked at together.
 */
import { readFileSync } from 'node:fs';

/** How long no look follows another. */
const PAUSE_MS = 100;

/**
 * The physical memory that a process has now, in bytes, what it shares with others included; undefined where that cannot
 * be known: it is gone, or this is not Linux.
 */
export function residentBytes(pid: number): number | undefined {
  try {
    const kibibytes = /^VmRSS:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
    return kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
  } catch {
    return undefined;
  }
}

export class MemoryWatch {
  /** What the child had at the last look. */
  seenBytes = 0;

  readonly #maxBytes: number;
  readonly #onAbove: () => void;
  #pid: number | undefined;
  /** The pause after a look. */
  #pause: NodeJS.Timeout | undefined;
  #hasAnswered = false;

  /** @param onAbove called after each look that finds more than that; it may end the watch */
  constructor(maxBytes: number, onAbove: () => void) {
    this.#maxBytes = maxBytes;
    this.#onAbove = onAbove;
  }

  /** From now on it is this child that is looked at, after its next answer. */
  begin(pid: number | undefined): void {
    this.#pid = pid;
    this.#hasAnswered = false;
    this.seenBytes = 0;
  }

  answered(): void {
    if (this.#pid === undefined) return;
    this.#hasAnswered = true;
    if (this.#pause === undefined) this.#look();
  }

  /** Until `begin`, no more looks. */
  end(): void {
    this.begin(undefined);
    clearTimeout(this.#pause);
    this.#pause = undefined;
  }

  #look(): void {
    if (this.#pid === undefined || !this.#hasAnswered) return;
    this.#hasAnswered = false;
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      this.#look();
    }, PAUSE_MS).unref();
    this.seenBytes = residentBytes(this.#pid) ?? 0;
    if (this.seenBytes > this.#maxBytes) this.#onAbove();
  }
}
