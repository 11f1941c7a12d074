/** A program through all cases, one after the other. */
import { CASES, type Case, type Subject } from './cases';
import type { Exchange, Program } from './conversation';
import { echo } from './exchange';
import type { Diagnosis, Finding } from './findings';

export type Row =
  | { readonly name: string; readonly result: 'ok'; readonly came: string }
  | ({ readonly name: string; readonly result: 'failed' } & Finding)
  | { readonly name: string; readonly result: 'left out' | 'not run'; readonly why: string };

export interface CheckOptions {
  /** Default: the program is an echo. */
  readonly pairs?: readonly Exchange[];
  /** Told of each row when it is there. */
  readonly onRow?: (row: Row) => void;
}

/** What no case can be passed with. */
const HOPELESS: readonly Diagnosis[] = ['does-not-start', 'other-channel'];
const ECHOED = ['hello', 'a second message', 'and the third'].map(echo);

/** @throws NotStartedError */
export async function check(program: Program, { pairs, onRow }: CheckOptions = {}): Promise<Row[]> {
  const subject: Subject = { program, exchanges: pairs ?? ECHOED };
  const rows: Row[] = [];
  let hopeless: string | undefined;
  for (const one of CASES) {
    const row: Row =
      hopeless === undefined
        ? (leftOut(one, program, pairs !== undefined) ?? (await run(one, subject)))
        : notRun(one, hopeless);
    if (row.result === 'failed' && (one.isFirst === true || HOPELESS.includes(row.diagnosis))) hopeless ??= one.name;
    rows.push(row);
    onRow?.(row);
  }
  return rows;
}

async function run({ name, run }: Case, subject: Subject): Promise<Row> {
  const outcome = await run(subject);
  return typeof outcome === 'string' ? { name, result: 'ok', came: outcome } : { name, result: 'failed', ...outcome };
}

function leftOut({ name, needsEcho, leftOut }: Case, program: Program, hasPairs: boolean): Row | undefined {
  const why = needsEcho && hasPairs ? 'it takes an echo' : leftOut?.(program);
  return why === undefined ? undefined : { name, result: 'left out', why };
}

function notRun({ name }: Case, first: string): Row {
  return { name, result: 'not run', why: `it takes a program that passes: ${first}` };
}
