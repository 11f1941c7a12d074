/** What the specs of a port's edges share. */
import {
  PortPool,
  type Port,
  type PortOptions,
  type PortPoolOptions,
  type RexPortError,
  type TimeoutError,
} from '../../lib';
import { isAlive } from './processes';

/** Full sizes: `STRESS=1 npx mocha spec/port/edges`. */
export const STRESS = process.env['STRESS'] === '1';

export type AnyPort = Port | PortPool;

/** Options and a method of a port that has them already or is about to: a cast, to be deleted with its uses. */
export interface Coming {
  readonly startTimeoutMs?: number;
  readonly runTimeoutMs?: number;
}
export function coming<T extends object>(options: T & Coming): T {
  return options;
}
export function start(port: AnyPort): Promise<void> {
  return (port as unknown as { start(): Promise<void> }).start();
}

/** The children of a port: how many were started, and how many live at one time. */
export class Children {
  readonly pids: number[] = [];
  /** The most that were alive at one time, those that are leaving or dying too. */
  most = 0;

  constructor(port: AnyPort) {
    port.on('spawn', ({ pid }) => {
      this.pids.push(pid!);
      this.most = Math.max(this.most, this.alive.length);
    });
  }

  get started(): number {
    return this.pids.length;
  }

  get alive(): number[] {
    return this.pids.filter(isAlive);
  }
}

/** How one request ended, in words: `reply`, `TIMEOUT header`, `EXIT`, `ABORT_ERR`. */
export function endOf(outcome: PromiseSettledResult<unknown>): string {
  if (outcome.status === 'fulfilled') return 'reply';
  const { code, phase, message } = outcome.reason as RexPortError & Partial<TimeoutError>;
  const name = String(code ?? message).replace('ERR_REXPORT_', '');
  return phase === undefined ? name : `${name} ${phase}`;
}

/** How requests ended, and how many of them each way: `{ 'TIMEOUT header': 1, reply: 3 }`. */
export async function tallyOf(requests: readonly Promise<unknown>[]): Promise<Record<string, number>> {
  const tally: Record<string, number> = {};
  for (const outcome of await Promise.allSettled(requests)) {
    const end = endOf(outcome);
    tally[end] = (tally[end] ?? 0) + 1;
  }
  return tally;
}

/** A child of spec/programs/obeys.pl to which SIGTERM does nothing, as arguments of perl. */
export function deaf(obeys: string): string[] {
  return ['-e', '$SIG{TERM} = "IGNORE"; do shift', obeys];
}

/** What the action costs this process, in milliseconds of the processor: other processes do not make it more. */
export async function cpuMsOf(action: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await action();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/** The same numbers for the same seed: mulberry32. */
export function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export type { PortOptions, PortPoolOptions };
