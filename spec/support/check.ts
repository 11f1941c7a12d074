/** What the specs of `rexport check` share. */
import type { Row } from '../../check/check';

/** Most of them wait most of the time. */
const AT_A_TIME = 10;

/** Runs this many at a time; each in turn gets its result. */
export function together<T>(runs: readonly (() => Promise<T>)[]): Promise<T>[] {
  const free = Array.from({ length: AT_A_TIME }, () => Promise.resolve());
  return runs.map((run, n) => {
    const result = free[n % AT_A_TIME]!.then(run);
    free[n % AT_A_TIME] = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  });
}

export function failures(rows: readonly Row[]): string[] {
  return rows.flatMap((row) => (row.result === 'failed' ? [`${row.name}: ${row.diagnosis}`] : []));
}
