/**
 * How the numbers are made. Every contender runs in a fresh process, so that none pays for another's heap or profits
 * from another's compiled code; they run in turn, round after round, so that a busy moment of the machine meets them
 * all; and only ratios of one round are compared, since nothing else here can be told from the weather.
 *
 * A bench file exports `bench`: questions by name. `npm run bench -- filter spawn/true --rounds 5` asks some of them.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

export interface Work {
  /** A temporary folder, filled by `prepare`. */
  readonly folder: string;
  /** How much one run does, in whatever the question counts. */
  readonly size: number;
}

/** One run of the work. The harness takes its time, unless it returns a measure of its own. */
export type Run = () => Promise<number | void>;

/**
 * Called once in a fresh process, which ends after the run that counts: loads what it needs and gives the run, all of it outside the timer. A text says why
 * it cannot be measured on this machine.
 */
export type Contender = (work: Work) => Run | string | Promise<Run | string>;

export interface Question {
  readonly title: string;
  /** The first is the subject: every ratio is the subject's against another's. */
  readonly contenders: Readonly<Record<string, Contender>>;
  readonly size: number;
  /** `speed`: the other's time by the subject's, more is better; `time`: the subject's by the other's, less is better. */
  readonly ratio?: 'speed' | 'time';
  /** What the ratio against the named contender should be: at least for `speed`, at most for `time`. */
  readonly targets?: Readonly<Record<string, number>>;
  /** What the subject's own measure should be at most. */
  readonly limit?: number;
  readonly unit?: string;
  readonly rounds?: number;
  /** Runs before the one that counts, in the same process. */
  readonly warmups?: number;
  /** Both ends on one core: a latency is else mostly the scheduler's. */
  readonly isPinned?: boolean;
  readonly prepare?: (work: Work) => Promise<void>;
}

export type Bench = Readonly<Record<string, Question>>;

export interface Choice {
  readonly rounds?: number | undefined;
  readonly size?: number | undefined;
  /** Besides the subject. Default: all. */
  readonly against?: readonly string[] | undefined;
}

/** Median, smallest, largest. */
type Spread = readonly [number, number, number];

interface Verdict {
  readonly measures: Record<string, Spread>;
  readonly ratios: Record<string, Spread>;
  /** The contenders against which a target was missed. */
  readonly missed: string[];
}

const RUNNER = join(__dirname, 'run.ts');

/** Measures one question and prints the table. */
export async function answer(name: string, question: Question, choice: Choice): Promise<Verdict> {
  const rounds = choice.rounds ?? question.rounds ?? 9;
  const folder = await mkdtemp(join(tmpdir(), 'rexport-bench-'));
  const work: Work = { folder, size: choice.size ?? question.size };
  const [subject = '', ...others] = Object.keys(question.contenders);
  const racing = [subject, ...others.filter((other) => choice.against?.includes(other) ?? true)];
  const measured = new Map<string, number[]>(racing.map((contender) => [contender, []]));
  console.log(`\n${name}: ${question.title} (size ${work.size}, ${rounds} rounds)`);
  try {
    await question.prepare?.(work);
    for (let round = 0; round < rounds; round++) {
      for (const contender of [...measured.keys()]) {
        const result = await runAlone(name, contender, work, question.isPinned ?? false);
        if (typeof result === 'number') {
          measured.get(contender)?.push(result);
          continue;
        }
        console.log(`  ${contender}: left out, ${result}`);
        measured.delete(contender);
      }
      process.stderr.write(process.stderr.isTTY ? `  round ${round + 1}\r` : '');
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return report(question, measured);
}

/** The other half: in the fresh process. */
export async function measureHere(question: Question, contender: string, work: Work): Promise<number | string> {
  const run = await question.contenders[contender]?.(work);
  if (run === undefined) throw new Error(`expected a contender of the question, got ${contender}`);
  if (typeof run === 'string') return run;
  for (let warmup = 0; warmup < (question.warmups ?? 1); warmup++) await run();
  const startedAt = performance.now();
  const own = await run();
  return own ?? (performance.now() - startedAt) / 1000;
}

async function runAlone(name: string, contender: string, work: Work, isPinned: boolean): Promise<number | string> {
  const pin = isPinned ? ['taskset', '--cpu-list', '0'] : [];
  const alone = ['--alone', JSON.stringify({ name, contender, work })];
  const node = [process.execPath, '--require', 'ts-node/register/transpile-only', RUNNER, ...alone];
  const [command = '', ...args] = [...pin, ...node];
  // What a contender prints besides belongs to its stderr; the last line of stdout is the result.
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve));
  const output = await text(child.stdout);
  const code = await exited;
  if (code !== 0) throw new Error(`${name}: ${contender} ended with ${code ?? 'a signal'}`);
  return JSON.parse(output.trimEnd().split('\n').at(-1) ?? '') as number | string;
}

function report(question: Question, measured: ReadonlyMap<string, readonly number[]>): Verdict {
  const { ratio = 'speed', targets = {}, limit, unit = 's' } = question;
  const isSpeed = ratio === 'speed';
  const [[subject, own] = ['', []], ...others] = measured;
  const verdict: Verdict = { measures: { [subject]: spread(own) }, ratios: {}, missed: [] };
  const judge = (contender: string, sign: '>=' | '<=', wanted: number | undefined, [median]: Spread): string => {
    if (wanted === undefined) return '';
    const isMet = sign === '>=' ? median >= wanted : median <= wanted;
    if (!isMet) verdict.missed.push(contender);
    return `${sign} ${wanted} ${isMet ? 'met' : 'MISSED'}`;
  };
  const table = [
    ['', `median (min-max) ${unit}`, `${subject}'s ${ratio} against it`, 'wanted'],
    [subject, shown(spread(own)), '', judge(subject, '<=', limit, spread(own))],
  ];
  for (const [contender, theirs] of others) {
    const compared = spread(theirs.map((their, round) => (isSpeed ? their / own[round]! : own[round]! / their)));
    verdict.measures[contender] = spread(theirs);
    verdict.ratios[contender] = compared;
    const judged = judge(contender, isSpeed ? '>=' : '<=', targets[contender], compared);
    table.push([contender, shown(spread(theirs)), shown(compared), judged]);
  }
  print(table);
  return verdict;
}

function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const at = (index: number): number => sorted[index] ?? NaN;
  const short = (value: number): number => Number(value.toPrecision(4));
  return [short((at(Math.floor(middle)) + at(Math.ceil(middle))) / 2), short(at(0)), short(at(sorted.length - 1))];
}

function shown([median, min, max]: Spread): string {
  const short = (value: number): string => (value < 100 ? value.toPrecision(3) : value.toFixed(0));
  return `${short(median)} (${short(min)}-${short(max)})`;
}

function print(rows: readonly (readonly string[])[]): void {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  const line = (row: readonly string[]): string => row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('  ');
  for (const row of rows) console.log(`  ${line(row)}`.trimEnd());
}
