/**
 * Ends the live children when this process leaves: by its own end, `process.exit()`, or a signal that nobody else
 * handles. One listener per event for all children, there only while a child lives.
 *
 * What cannot be caught (SIGKILL, a crash of the runtime) is left to the child: its stdin ends then.
 */
import { readFileSync } from 'node:fs';

export interface LiveChild {
  readonly pid: number;
  readonly killSignal: NodeJS.Signals;
  kill(signal: NodeJS.Signals): boolean;
}

/** How long a leaving parent gives its children between their `killSignal` and SIGKILL. It blocks for that time. */
const FAREWELL_MS = 100;
const POLL_MS = 2;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

interface ExitHook {
  add(child: LiveChild): void;
  delete(child: LiveChild): void;
}

/** No event loop turns any more, so the dead stay zombies here: their state tells, not whether the pid exists. */
function hasEnded(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.charAt(stat.lastIndexOf(')') + 2) === 'Z';
  } catch (error) {
    return process.platform === 'linux' && (error as NodeJS.ErrnoException).code !== 'EMFILE';
  }
}

function endAll(children: ReadonlySet<LiveChild>): void {
  const cell = new Int32Array(new SharedArrayBuffer(4));
  const deadline = Date.now() + FAREWELL_MS;
  for (const child of children) child.kill(child.killSignal);
  while ([...children].some((child) => !hasEnded(child.pid)) && Date.now() < deadline) {
    Atomics.wait(cell, 0, 0, POLL_MS);
  }
  for (const child of children) child.kill('SIGKILL');
}

/**
 * How many of a signal's listeners belong to signal-exit, which many tools (execa among them) bring along. It raises
 * the signal again when it finds nobody but itself listening, and so must we: two that count each other would make the
 * process immortal. Its versions up to 3 and from 4 on keep their counts apart.
 */
function signalExitListeners(): number {
  const emitters = [
    (globalThis as Record<symbol, unknown>)[Symbol.for('signal-exit emitter')],
    (process as unknown as Record<string, unknown>).__signal_exit_emitter__,
  ] as ({ count?: number } | undefined)[];
  return emitters.reduce((sum, emitter) => sum + (emitter?.count ?? 0), 0);
}

function createExitHook(): ExitHook {
  const live = new Set<LiveChild>();

  const onExit = (): void => {
    endAll(live);
  };

  const onSignal = (signal: NodeJS.Signals): void => {
    // Off first: a listener that asks next "am I the only listener?" must not count us.
    process.removeListener(signal, onSignal);
    const others = process.listenerCount(signal);
    if (others <= signalExitListeners()) endAll(live);
    else process.prependListener(signal, onSignal);
    if (others === 0) process.kill(process.pid, signal);
  };

  return {
    add(child) {
      if (live.size === 0) {
        process.on('exit', onExit);
        for (const signal of SIGNALS) process.prependListener(signal, onSignal);
      }
      live.add(child);
    },
    delete(child) {
      if (!live.delete(child) || live.size > 0) return;
      process.removeListener('exit', onExit);
      for (const signal of SIGNALS) process.removeListener(signal, onSignal);
    },
  };
}

/** Two copies of this package in one process share one hook: each would take the other for a user's own handler. */
const registry = globalThis as Record<symbol, unknown>;
const key = Symbol.for('rexport exit hook 1');
export const exitHook = (registry[key] ??= createExitHook()) as ExitHook;
