/** How a child is ended: a ladder of steps, climbed until the child is gone. */
import { trace } from '../trace';
import type { Child } from './child';

/** One step, and how long the child is given before the next. */
export interface Rung {
  readonly step: 'release output' | 'give up' | NodeJS.Signals;
  readonly waitMs: number;
}

/** A child that outlives SIGKILL is not ours to signal (it changed its user) or hangs in the kernel. */
const GIVE_UP_AFTER_MS = 1000;

/**
 * `killSignal`, SIGKILL after `forceKillAfterMs`, and no end of input on the way: a program takes that for "all is there"
 * and commits, while this ladder is for input that was cut off. Its stdin stays open until it is gone.
 */
export function ladder(killSignal: NodeJS.Signals, forceKillAfterMs: number): readonly Rung[] {
  return [
    { step: killSignal, waitMs: forceKillAfterMs },
    { step: 'SIGKILL', waitMs: 0 },
    { step: 'release output', waitMs: GIVE_UP_AFTER_MS },
    { step: 'give up', waitMs: 0 },
  ];
}

/**
 * Climbs until the child has exited, then releases our ends of its pipes. Until then the child keeps this process alive,
 * whatever was said before: somebody may wait for its end.
 * @param done called once: the child is closed, or even SIGKILL did not end it in time.
 */
export function endChild(child: Child, rungs: readonly Rung[], done: () => void): void {
  let timer: NodeJS.Timeout | undefined;
  let isDone = false;
  const finish = (): void => {
    clearTimeout(timer);
    if (!isDone) done();
    isDone = true;
  };
  if (child.isClosed) {
    child.killOrphans();
    finish();
    return;
  }
  child.onClose(finish);
  child.setRef(true);
  if (child.status !== undefined) {
    child.releasePipes();
    return;
  }
  child.onExit(() => {
    clearTimeout(timer);
    child.releasePipes();
  });
  const climb = (index: number): void => {
    const rung = rungs[index];
    if (rung === undefined) return;
    trace.end({ command: child.command, pid: child.pid, step: rung.step });
    take(rung.step, child, finish);
    if (rung.waitMs === 0) climb(index + 1);
    else timer = setTimeout(climb, rung.waitMs, index + 1);
  };
  climb(0);
}

function take(step: Rung['step'], child: Child, giveUp: () => void): void {
  switch (step) {
    case 'release output':
      child.stdout?.destroy();
      break;
    case 'give up':
      child.setRef(false);
      giveUp();
      break;
    default:
      child.kill(step);
  }
}
