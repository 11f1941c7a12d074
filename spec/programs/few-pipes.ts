/**
 * Asks for three pipes with no descriptor left, one left, and so on. Prints as JSON what came of each ask and of one
 * afterwards, and how many descriptors more are open than before.
 */
import { closeSync, openSync, readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { closePipes, PipeSource } from '../../lib/process/pipes';

const MOST_LEFT = 24;
const source = new PipeSource();

async function ask(): Promise<string> {
  const result = await new Promise<Parameters<Parameters<PipeSource['take']>[1]>[0]>((resolve) => {
    source.take(['reads', 'writes', 'writes'], resolve);
  });
  if (typeof result === 'string') return result;
  closePipes(result);
  return `${result.length} pipes`;
}

async function withLeft(left: number): Promise<string> {
  const eaten: number[] = [];
  try {
    for (;;) eaten.push(openSync('/dev/null', 'r'));
  } catch {
    for (const fd of eaten.splice(0, left)) closeSync(fd);
  }
  const result = await ask();
  for (const fd of eaten) closeSync(fd);
  // a descriptor is closed in the turn after its stream has said so
  await delay(1);
  return result;
}

async function main(): Promise<void> {
  // what Node opens at the first use it never closes
  await ask();
  await delay(1);
  const before = readdirSync('/proc/self/fd').length;
  const results: string[] = [];
  for (let left = 0; left <= MOST_LEFT; left += 1) results.push(await withLeft(left));
  const kept = readdirSync('/proc/self/fd').length - before;
  process.stdout.write(JSON.stringify({ results, kept, after: await ask() }));
}

void main();
