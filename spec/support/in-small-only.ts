/** Specs that are described twice in a file, or in two, with something that few of them depend on. */
import { SIDE_BY_SIDE } from './side-by-side';
import { stressed } from './stress';

/** Describes all specs where `STRESS=1`, else those alone of which a title begins so; a title that none has is an error. */
export function inSmallOnly(titles: readonly string[], describe: () => void): void {
  stressed(describe, () => describeOnly(titles, describe))();
}

function describeOnly(titles: readonly string[], describe: () => void): void {
  if (titles.length === 0) return;
  const { it: original } = globalThis;
  const left = new Set(titles);
  globalThis.it = Object.assign((title: string, run?: Mocha.AsyncFunc) => {
    const beginning = [SIDE_BY_SIDE, ...titles].find((beginning) => title.startsWith(beginning));
    if (beginning === undefined) return;
    left.delete(beginning);
    return original(title, run);
  }, original) as Mocha.TestFunction;
  try {
    describe();
  } finally {
    globalThis.it = original;
  }
  if (left.size > 0) throw new Error(`no spec begins with ${[...left].join(', or with ')}`);
}
