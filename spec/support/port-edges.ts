/** What the specs of a port's edges share. */
import { type Port, type PortPool } from '../../lib';
import { isAlive } from './processes';

export type AnyPort = Port | PortPool;

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
  const { code, phase, message } = outcome.reason as Error & { code?: string; phase?: string };
  const name = (code ?? message).replace('ERR_REXPORT_', '');
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

/** What the action costs this process, in milliseconds of the processor: other processes do not make it more. */
export async function cpuMsOf(action: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await action();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}
