/** What the specs ask about other processes. */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** A zombie is dead: its parent, which should have reaped it, may be gone itself. */
export function isAlive(pid: number): boolean {
  if (!(pid > 0)) throw new RangeError(`expected the number of a process, got ${pid}`);
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  if (process.platform !== 'linux') return true;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return !'ZX'.includes(stat.charAt(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
}

/** The children of a process that are there, the zombies too. Only on Linux. */
export function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`)
    .flatMap((task) => readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' '))
    .filter((text) => text !== '')
    .map(Number);
}

/** A look at the children of this process that were not there at the call. */
export function childrenFromNow(): () => number[] {
  const before = new Set(childrenOf(process.pid));
  return () => childrenOf(process.pid).filter((pid) => !before.has(pid));
}

/** Waits until the condition holds; at most for this time. @returns whether it came to hold */
export async function until(condition: () => boolean, withinMs = 10_000): Promise<boolean> {
  const deadline = performance.now() + withinMs;
  while (!condition()) {
    if (performance.now() > deadline) return false;
    await delay(5);
  }
  return true;
}

/** Those of the processes that are still there after this time. */
export async function survivors(pids: readonly number[], withinMs = 10_000): Promise<number[]> {
  await until(() => !pids.some(isAlive), withinMs);
  return pids.filter(isAlive);
}

/** The numbers that this process sends a signal to in the meantime; none is really sent. */
export async function signalsSentDuring(action: () => unknown): Promise<number[]> {
  const sent: number[] = [];
  const kill = process.kill.bind(process);
  process.kill = (pid) => {
    sent.push(pid);
    return true;
  };
  try {
    await action();
  } finally {
    process.kill = kill;
  }
  return sent;
}
