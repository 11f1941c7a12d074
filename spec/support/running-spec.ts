/**
 * The spec that runs, and those that ran out of time and go on: mocha gives such a one up, but what it does next it does
 * beneath the specs after it.
 */
import type { Context, Test } from 'mocha';

export interface RunningSpec {
  readonly title: string;
  /** Mocha has its result. */
  isOver: boolean;
  /** Settles with its function; undefined until that is called, and for one with a callback. */
  done?: Promise<unknown>;
}

let running: RunningSpec | undefined;
const goingOn = new Set<RunningSpec>();

export function runningSpec(): RunningSpec | undefined {
  return running;
}

/** The titles of those that are over, and go on. */
export function specsGoingOn(): readonly string[] {
  return [...goingOn].map(({ title }) => title);
}

/** Before the function of the test is called. */
export function specBegins(test: Test): void {
  const fn = test.fn as ((this: Context) => unknown) | undefined;
  const spec: RunningSpec = { title: test.fullTitle(), isOver: false };
  running = spec;
  if (fn === undefined || fn.length > 0) return;
  test.fn = function (this: Context) {
    const result = fn.call(this);
    spec.done = Promise.resolve(result).catch(() => {});
    return result as Promise<void>;
  };
}

/** After mocha has its result; waits for its function, but not long. */
export async function specEnds(withinMs: number): Promise<void> {
  const spec = running;
  running = undefined;
  if (spec === undefined) return;
  spec.isOver = true;
  if (spec.done === undefined) return;
  goingOn.add(spec);
  const done = spec.done.then(() => goingOn.delete(spec));
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([done, new Promise((resolve) => (timer = setTimeout(resolve, withinMs)))]);
  clearTimeout(timer);
}
