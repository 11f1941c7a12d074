/** How much the specs do, and what they need from the machine. */
import { spawnSync } from 'node:child_process';
import type { Context, Runnable } from 'mocha';
import { runningSpec } from './running-spec';

const isFull = process.env['STRESS'] === '1';

/** A size of a spec: `full` where `STRESS=1`, as CI sets it; else `small`, which still fails where the fault is there. */
export function stressed<T>(full: T, small: T): T {
  return isFull ? full : small;
}

/**
 * Runs it `times` times, at most `atATime` at a time; each run gets its number. Starts no run more after one has failed, or
 * after the spec has ended, as it does by its time-out; settles when none is left under way.
 */
export async function repeat(times: number, atATime: number, run: (number: number) => Promise<unknown>): Promise<void> {
  const spec = runningSpec();
  const failures: unknown[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < times && failures.length === 0) {
      if (spec?.isOver) throw new Error(`the spec ended after ${next} of ${times} runs`);
      await run(next++);
    }
  };
  const lanes = Array.from({ length: Math.min(times, atATime) }, () => lane().catch((error) => failures.push(error)));
  await Promise.all(lanes);
  if (failures.length > 0) throw failures[0];
}

/** Whether it is in the path. */
export function hasProgram(program: string): boolean {
  return spawnSync('sh', ['-c', `command -v "${program}"`]).status === 0;
}

/**
 * Called with the `this` of a spec or of a `before`: skips the spec, or the whole suite, where a program is not in the
 * path, and says in its title which. With `CI=true` it fails instead, since nobody reads the list of what CI skipped.
 */
export function requirePrograms(context: Context, ...programs: readonly string[]): void {
  const missing = programs.filter((program) => !hasProgram(program));
  if (missing.length > 0) skipWithout(context, missing.join(', '));
}

/** The same for what is asked in another way: a module of Python, a device. */
export function skipWithout(context: Context, what: string): never {
  if (process.env['CI'] === 'true') throw new Error(`expected ${what} to be there, since CI=true`);
  // its declaration leaves out what tells a hook from a test
  const runnable = context.test as Runnable & { type: 'hook' | 'test' };
  const rename = (each: Runnable): void => void (each.title += ` (skipped: no ${what} here)`);
  if (runnable.type === 'hook') runnable.parent?.eachTest(rename);
  else rename(runnable);
  return context.skip();
}
