/** `npm run bench -- [bench | bench/question]... [--rounds N] [--size N] [--against NAME]...`; all where none is named. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { answer, measureHere, type Bench, type Choice, type Question, type Work } from './harness';

const ENDING = '.bench.ts';

function load(name: string): Bench {
  // import() would leave ts-node's hook aside
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  return (require(join(__dirname, `${name}${ENDING}`)) as { bench: Bench }).bench;
}

function find(bench: Bench, file: string, key: string): Question {
  const question = bench[key];
  if (question === undefined) throw new Error(`expected a question of ${file}, got ${key}`);
  return question;
}

/** The fresh process: its last line of stdout is the measure. What a contender left open does not keep it. */
async function runAlone(order: string): Promise<void> {
  const { name, contender, work } = JSON.parse(order) as { name: string; contender: string; work: Work };
  const [file = '', key = ''] = name.split('/');
  const measure = await measureHere(find(load(file), file, key), contender, work);
  process.stdout.write(`\n${JSON.stringify(measure)}\n`, () => process.exit());
}

async function runBench(file: string, only: string | undefined, choice: Choice): Promise<void> {
  const bench = load(file);
  const answers: Record<string, unknown> = {};
  for (const key of only === undefined ? Object.keys(bench) : [only]) {
    answers[key] = await answer(`${file}/${key}`, find(bench, file, key), choice);
  }
  console.log(JSON.stringify({ bench: file, node: process.version, ...answers }));
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      rounds: { type: 'string' },
      size: { type: 'string' },
      against: { type: 'string', multiple: true },
      alone: { type: 'string' },
    },
  });
  if (values.alone !== undefined) return runAlone(values.alone);
  const number = (text: string | undefined): number | undefined => (text === undefined ? undefined : Number(text));
  const choice = { rounds: number(values.rounds), size: number(values.size), against: values.against };
  const all = readdirSync(__dirname).filter((file) => file.endsWith(ENDING));
  const names = all.map((file) => file.slice(0, -ENDING.length)).sort();
  for (const name of positionals.length > 0 ? positionals : names) {
    const [file = '', only] = name.split('/');
    await runBench(file, only, choice);
  }
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
