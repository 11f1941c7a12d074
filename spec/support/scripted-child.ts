/** A child and timers that do what a spec says, for the tables of the state machines. */
import { Duplex } from 'node:stream';
import { lengthPrefix } from '../../lib/framing/length-prefix';
import type { OpenedChild } from '../../lib/port/session';

/** What the tables of the state machines have in common; every limit of time passes when the spec says so. */
export const SESSION_SETTINGS = {
  command: 'worker',
  args: [],
  spawnOptions: {},
  framing: lengthPrefix({ packet: 1 }),
  format: { packet: 1 },
  successCodes: [0],
  maxInFlight: 1,
  startTimeoutMs: 10,
  isStartBounded: false,
  closeTimeoutMs: 10,
  farewellMs: 10,
  lastWordsMs: 10,
  protocol: undefined,
} as const;

export const LANE_SETTINGS = {
  ...SESSION_SETTINGS,
  restart: 'permanent',
  withinMs: 10_000,
  backoff: { minMs: 2 ** 20, maxMs: 2 ** 20 },
  minUptimeMs: 60_000,
  maxRequests: Infinity,
  maxAgeMs: undefined,
  maxRssBytes: undefined,
  jitter: 0,
} as const;

/** A child that does nothing by itself. */
export class ScriptedChild extends Duplex implements OpenedChild {
  pid = 7;
  exitCode: number | null = null;
  signalCode = null;
  bytesWritten = 0;
  bytesRead = 0;
  bytesDropped = 0;

  override _read(): void {
    // What comes is emitted by the spec.
  }

  override _write(_chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    callback();
  }
}

interface Timer {
  readonly run: () => void;
  isCleared: boolean;
}

/** Timers that fire when the spec says so. */
export class Timers {
  readonly #set = globalThis.setTimeout;
  readonly #clear = globalThis.clearTimeout;
  #timers: Timer[] = [];

  begin(): void {
    this.#timers = [];
    globalThis.setTimeout = ((run: () => void) => {
      const timer = { run, isCleared: false, unref: () => timer, refresh: () => timer };
      this.#timers.push(timer);
      return timer;
    }) as unknown as typeof setTimeout;
    globalThis.clearTimeout = ((timer?: Timer) => {
      if (timer) timer.isCleared = true;
    }) as typeof clearTimeout;
  }

  end(): void {
    globalThis.setTimeout = this.#set;
    globalThis.clearTimeout = this.#clear;
  }

  get live(): Timer[] {
    return this.#timers.filter(({ isCleared }) => !isCleared);
  }

  fire(): void {
    for (const timer of this.live) {
      timer.isCleared = true;
      timer.run();
    }
  }
}
