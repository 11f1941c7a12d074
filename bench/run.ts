/** `npm run bench -- --help` says what can be asked. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { chart } from './chart';
import {
  LEGEND,
  announce,
  answer,
  duration,
  plan,
  serve,
  type Bench,
  type Choice,
  type Question,
  type Work,
} from './harness';
import { merged, type Answer, type Results } from './results';

const ENDING = '.bench.js';
const usage = (): string => `usage: npm run bench -- [bench | bench/question]... [options]

Measures RexPort against others, in turn, in fresh processes. All benches where none is named, which takes about an hour:
${benches().join(', ')}

  --list           what there is to measure, and how long it takes; measures nothing
  --rounds N       fresh processes for each contender, instead of what the question has
  --size N         how much a run does (messages, MiB, requests: see --list), instead of what the question has
  --against NAME   only this contender; may be repeated
  --json           the results as JSON on stdout; the tables go to stderr
  --chart          puts the results into docs/numbers.json and draws docs/numbers.svg (then: npm run docs)

For example: npm run bench -- spawn/true --rounds 2
`;

/** It runs as node_modules/.cache/bench/bench/run.js. */
const docs = join(__dirname, '..', '..', '..', '..', 'docs');

interface Asked {
  readonly name: string;
  readonly question: Question;
}

async function load(name: string): Promise<Bench> {
  const { bench } = (await import(pathToFileURL(join(__dirname, `${name}${ENDING}`)).href)) as { bench: Bench };
  return bench;
}

async function find(name: string): Promise<Asked[]> {
  const [file = '', key] = name.split('/');
  if (!benches().includes(file)) throw new Error(`expected a bench among ${benches().join(', ')}, got ${file}`);
  const bench = await load(file);
  const keys = Object.keys(bench);
  if (key !== undefined && !keys.includes(key)) {
    throw new Error(`expected a question of ${file} among ${keys.join(', ')}, got ${key}`);
  }
  return (key === undefined ? keys : [key]).map((one) => ({ name: `${file}/${one}`, question: bench[one]! }));
}

function benches(): string[] {
  const files = readdirSync(__dirname).filter((file) => file.endsWith(ENDING));
  return files.map((file) => file.slice(0, -ENDING.length)).sort();
}

async function runAlone(order: string): Promise<void> {
  const { name, contender, work } = JSON.parse(order) as { name: string; contender: string; work: Work };
  const [asked] = await find(name);
  await serve(asked!.question, contender, work);
}

/** Into docs/, beside the answers to the questions that were not asked now. */
function keep(fresh: Results): void {
  const file = join(docs, 'numbers.json');
  const results = merged(JSON.parse(readFileSync(file, 'utf8')) as Results, fresh);
  writeFileSync(file, `${JSON.stringify(results, undefined, 2)}\n`);
  writeFileSync(join(docs, 'numbers.svg'), chart(results));
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      rounds: { type: 'string' },
      size: { type: 'string' },
      against: { type: 'string', multiple: true },
      list: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      chart: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
      alone: { type: 'string' },
    },
  });
  if (values.alone !== undefined) return runAlone(values.alone);
  if (values.help) {
    console.log(usage());
    return;
  }
  const print = values.json ? console.error : console.log;
  const number = (text: string | undefined): number | undefined => (text === undefined ? undefined : Number(text));
  const choice: Choice = { rounds: number(values.rounds), size: number(values.size), against: values.against };
  const asked = (await Promise.all((positionals.length > 0 ? positionals : benches()).map(find))).flat();
  const seconds = asked.reduce((sum, { question }) => sum + plan(question, choice).seconds, 0);
  const questions = asked.length === 1 ? '1 question' : `${asked.length} questions`;
  print(`${questions}, ${duration(seconds)}. Close other programs: a busy core changes the ratios.`);
  if (values.list) {
    for (const { name, question } of asked) print(['', ...announce(name, question, choice)].join('\n'));
    return;
  }
  for (const line of LEGEND) print(line);
  const answers: Answer[] = [];
  for (const { name, question } of asked) answers.push(await answer(name, question, choice, print));
  const [major] = process.versions.node.split('.');
  const machine = `${process.platform}, ${availableParallelism()} cores, Node ${major}`;
  if (values.json) console.log(JSON.stringify({ machine, answers }, undefined, 2));
  if (values.chart) keep({ machine, answers });
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
});
