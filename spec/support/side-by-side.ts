/** Specs that wait for most of their time run side by side: a file then takes as long as its longest. */
import { repeat, stressed } from './stress';

type Run = () => Promise<unknown>;

export const SIDE_BY_SIDE = 'the specs that wait, side by side, leave nothing behind';

/**
 * What stands for `it` in a file, under the same titles. With `STRESS=1` its specs run one after another. Else the first
 * spec of the file runs all of them, so that what they leave behind is seen there, and each then tells how it ended; where
 * that first one was not run, since another was asked for by name, each runs by itself. They have no context, and no hooks
 * of a suite run before them.
 */
export function sideBySide(atATime = 16): (title: string, run: Run) => void {
  const begun: Run[] = [];
  if (stressed(false, true)) {
    // each tells its failure itself
    const settle = (number: number): Promise<unknown> => begun[number]!().catch(() => undefined);
    it(SIDE_BY_SIDE, () => repeat(begun.length, atATime, settle));
  }
  return (title, run) => {
    let outcome: Promise<unknown> | undefined;
    const begin: Run = async () => (outcome ??= run());
    // mocha gives none for one that in-small-only.ts leaves out
    const test: Mocha.Test | undefined = it(title, () => begin());
    if (test) begun.push(begin);
  };
}
