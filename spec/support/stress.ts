/** How much the specs do, and what they need from the machine. */
import { spawnSync } from 'node:child_process';
import type { Context, Runnable } from 'mocha';

const isFull = process.env['STRESS'] === '1';

/** A size of a spec: `full` where `STRESS=1`, as CI sets it; else `small`, which still fails where the fault is there. */
export function stressed<T>(full: T, small: T): T {
  return isFull ? full : small;
}

/**
 * Called with the `this` of a spec or of a `before`: skips the spec, or the whole suite, where a program is not in the
 * path, and says in its title which. With `CI=true` it fails instead, since nobody reads the list of what CI skipped.
 */
export function requirePrograms(context: Context, ...programs: readonly string[]): void {
  const missing = programs.filter((program) => spawnSync('sh', ['-c', `command -v "${program}"`]).status !== 0);
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
