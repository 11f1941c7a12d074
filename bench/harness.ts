/**
 * How the numbers are made. Every contender has a fresh process in every round, so that none pays for another's heap or
 * profits from another's compiled code; they run in turn, so that a busy moment of the machine meets them all; and only
 * the ratios of one turn are compared, since nothing else here can be told from the weather.
 *
 * All of it is compiled first: a compiler in memory would make every fork dearer, and so hide what we add to it.
 *
 * A bench file exports `bench`: questions by name. `npm run bench -- filter spawn/true --rounds 5` asks some of them,
 * `npm run bench -- --list` says which there are.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Answer, Ratio } from './results';

export interface Work {
  /** A temporary folder, filled by `prepare`. */
  readonly folder: string;
  /** How much one run does, in whatever the question counts. */
  readonly size: number;
}

/** One run of the work. The harness takes its time, unless it returns a measure of its own; less is better. */
export type Run = () => Promise<number | void>;

/**
 * Called once in a fresh process, which is killed after its last turn: loads what it needs and gives the run, all of it outside the timer. A text says why
 * it cannot be measured on this machine.
 */
export type Contender = (work: Work) => Run | string | Promise<Run | string>;

export interface Question {
  /** What is done, as it reads behind the size: "128 MiB from a file through `cat` to a file". */
  readonly title: string;
  /** The first is the subject: every ratio is the subject's against another's. */
  readonly contenders: Readonly<Record<string, Contender>>;
  readonly size: number;
  /** `speed`: the other's measure by the subject's, more is better; `cost`: the subject's by the other's, less is better. */
  readonly ratio?: 'speed' | 'cost';
  /** What the ratio against the named contender should be: at least for `speed`, at most for `cost`. */
  readonly targets?: Readonly<Record<string, number>>;
  /** What the subject's own measure should be at most. */
  readonly limit?: number;
  readonly unit?: string;
  /** How often all contenders get fresh processes. Default 9. */
  readonly rounds?: number;
  /** Runs before those that count, in the same process: until the compiler has seen enough. Default 1. */
  readonly warmups?: number;
  /** How often each runs in one round, in turn. Short runs in many turns tell most on a busy machine. Default 1. */
  readonly turns?: number;
  /** About how long one run takes, for the word on how long all of it will take. Default 0.5. */
  readonly runSeconds?: number;
  /** Both ends on one core: a latency is else mostly the scheduler's. */
  readonly isPinned?: boolean;
  readonly prepare?: (work: Work) => Promise<void>;
}

export type Bench = Readonly<Record<string, Question>>;

export interface Choice {
  readonly rounds?: number | undefined;
  readonly size?: number | undefined;
  /** The subject always runs. Default: all others too. */
  readonly against?: readonly string[] | undefined;
}

/** Median, smallest, largest. */
type Spread = readonly [number, number, number];

/** A fresh Node with what it loads. */
const START_SECONDS = 0.5;
const RUNNER = join(__dirname, 'run.js');

/** Takes the lines of the tables. */
export type Print = (line: string) => void;

interface Plan {
  readonly title: string;
  readonly contenders: readonly string[];
  readonly rounds: number;
  readonly turns: number;
  /** A guess, before anything was measured. */
  readonly seconds: number;
}

/** What will be done for one question. */
export function plan(question: Question, choice: Choice): Plan {
  const { turns = 1, warmups = 1, runSeconds = 0.5 } = question;
  const [subject = '', ...others] = Object.keys(question.contenders);
  const contenders = [subject, ...others.filter((other) => choice.against?.includes(other) ?? true)];
  const rounds = choice.rounds ?? question.rounds ?? 9;
  const size = choice.size ?? question.size;
  const seconds =
    rounds * contenders.length * (START_SECONDS + (warmups + turns) * runSeconds * (size / question.size));
  return { title: `${size.toLocaleString('en')} ${question.title}`, contenders, rounds, turns, seconds };
}

/** How to read the tables. */
export const LEGEND: readonly string[] = [
  'In the tables: the median of all runs, and in brackets the smallest and the largest. Compare the ratios, which are',
  'those of runs right after each other; the times change with the machine. "goal" is what this project asks of itself.',
];

/** Says in lines what will be done. */
export function announce(name: string, question: Question, choice: Choice): string[] {
  const { title, contenders, rounds, turns, seconds } = plan(question, choice);
  const [subject = '', ...others] = contenders;
  return [
    `${name}: ${title}`,
    others.length === 0 ? `  ${subject}, alone` : `  ${subject} against ${others.join('; ')}`,
    `  ${rounds} ${rounds === 1 ? 'round' : 'rounds'} with fresh processes, ${turns} ${turns === 1 ? 'run' : 'runs'} of each a round; ${duration(seconds)}`,
  ];
}

export function duration(seconds: number): string {
  return seconds < 90 ? `about ${Math.ceil(seconds)} s` : `about ${Math.ceil(seconds / 60)} minutes`;
}

/** Measures one question and prints the table. */
export async function answer(name: string, question: Question, choice: Choice, print: Print): Promise<Answer> {
  const { title, contenders, rounds, turns } = plan(question, choice);
  const folder = await mkdtemp(join(tmpdir(), 'rexport-bench-'));
  const work: Work = { folder, size: choice.size ?? question.size };
  const measured = new Map<string, number[]>(contenders.map((contender) => [contender, []]));
  for (const line of ['', ...announce(name, question, choice)]) print(line);
  const startedAt = performance.now();
  try {
    await question.prepare?.(work);
    for (let round = 1; round <= rounds; round++) {
      await race({ name, work, isPinned: question.isPinned ?? false }, measured, turns, print);
      const left = ((performance.now() - startedAt) / 1000 / round) * (rounds - round);
      process.stderr.write(
        process.stderr.isTTY ? `\x1b[2K  round ${round} of ${rounds}, ${duration(left)} left\r` : '',
      );
    }
    process.stderr.write(process.stderr.isTTY ? '\x1b[2K' : '');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return report({ name, title, question }, measured, print);
}

interface Order {
  readonly name: string;
  readonly work: Work;
  readonly isPinned: boolean;
}

/** A contender in a process of its own, warm, at rest between its turns. */
interface Racer {
  run(): Promise<number>;
  leave(): void;
}

async function race(order: Order, measured: Map<string, number[]>, turns: number, print: Print): Promise<void> {
  const racers = new Map<string, Racer>();
  try {
    for (const contender of [...measured.keys()]) {
      const racer = await enter(order, contender);
      if (typeof racer === 'string') {
        print(`  ${contender}: left out, ${racer}`);
        measured.delete(contender);
      } else {
        racers.set(contender, racer);
      }
    }
    for (let turn = 0; turn < turns; turn++) {
      for (const [contender, racer] of racers) measured.get(contender)?.push(await racer.run());
    }
  } finally {
    for (const racer of racers.values()) racer.leave();
  }
}

async function enter({ name, work, isPinned }: Order, contender: string): Promise<Racer | string> {
  const pin = isPinned ? ['taskset', '--cpu-list', '0'] : [];
  const node = [process.execPath, RUNNER, '--alone', JSON.stringify({ name, contender, work })];
  const [command = '', ...args] = [...pin, ...node];
  // What a contender prints is no part of the table.
  const child = spawn(command, args, { stdio: ['ignore', 2, 2, 'ipc'] });
  const ended = new Promise<never>((_, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => reject(new Error(`${name}: ${contender} ended with ${signal ?? code}`)));
  });
  ended.catch(() => {});
  const said = async (): Promise<unknown> => ((await Promise.race([once(child, 'message'), ended])) as unknown[])[0];
  const refusal = await said();
  if (typeof refusal === 'string') return refusal;
  return {
    run: async () => {
      child.send('run');
      return (await said()) as number;
    },
    leave: () => void child.kill(),
  };
}

/** The other half, in the process of its own: says first that it is warm, then a measure whenever it is asked to run. */
export async function serve(question: Question, contender: string, work: Work): Promise<void> {
  const tell = (message: unknown): void => void process.send?.(message);
  const run = await question.contenders[contender]?.(work);
  if (run === undefined) throw new Error(`expected a contender of the question, got ${contender}`);
  if (typeof run === 'string') {
    tell(run);
    return;
  }
  for (let warmup = 0; warmup < (question.warmups ?? 1); warmup++) await run();
  process.on('message', () => void timed(run).then(tell));
  process.on('disconnect', () => process.exit());
  tell(null);
}

async function timed(run: Run): Promise<number> {
  const startedAt = performance.now();
  const own = await run();
  return own ?? (performance.now() - startedAt) / 1000;
}

interface Measured {
  readonly name: string;
  readonly title: string;
  readonly question: Question;
}

function report({ name, title, question }: Measured, measured: ReadonlyMap<string, number[]>, print: Print): Answer {
  const { ratio = 'speed', targets = {}, limit, unit = 's' } = question;
  const isSpeed = ratio === 'speed';
  const [[subject, own] = ['', []], ...others] = measured;
  const ratios: Ratio[] = [];
  const judge = (sign: '>=' | '<=', wanted: number | undefined, [median]: Spread): string => {
    if (wanted === undefined) return '';
    const isMet = sign === '>=' ? median >= wanted : median <= wanted;
    return `${sign} ${wanted}, ${isMet ? 'met' : 'missed'}`;
  };
  const table = [
    [
      'contender',
      unit === 's' ? 'seconds of a run' : unit,
      ...(others.length === 0
        ? ['']
        : [isSpeed ? `${subject} is this many x as fast` : `${subject} takes this many x as much`]),
      'goal',
    ],
    [subject, shown(spread(own)), '', judge('<=', limit, spread(own))],
  ];
  for (const [contender, theirs] of others) {
    const compared = spread(theirs.map((their, round) => (isSpeed ? their / own[round]! : own[round]! / their)));
    const [median, min, max] = compared;
    ratios.push({ against: contender, median, min, max });
    const judged = judge(isSpeed ? '>=' : '<=', targets[contender], compared);
    table.push([contender, shown(spread(theirs)), shown(compared), judged]);
  }
  for (const line of aligned(table)) print(line);
  return { name, title, subject, ratio, ratios };
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

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  const line = (row: readonly string[]): string => row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('  ');
  return rows.map((row) => `  ${line(row)}`.trimEnd());
}
