/**
 * `checks.js`: runs the checks that come on stdin as JSON, several at a time, and prints what each found, in their order, as
 * JSON. A program, since each moves megabytes, and a process that is large by them starts its next programs slowly.
 */
import { text } from 'node:stream/consumers';
import { check } from '../../check/check';
import { main } from '../../check/cli';
import { lengthPrefixed } from '../../check/wire';
import type { Ordered, Said } from '../support/check';
import { repeat } from '../support/stress';

/** Most of them wait most of the time. */
const AT_A_TIME = 20;

async function run(order: Ordered): Promise<unknown> {
  if (!('command' in order)) return check({ ...order.program, wire: lengthPrefixed(order.format) });
  const [out, err]: [string[], string[]] = [[], []];
  const code = await main(order.command, { out: (line) => out.push(line), err: (line) => err.push(line) });
  return { code, out: out.join('\n'), err: err.join('\n') } satisfies Said;
}

void text(process.stdin).then(async (orders) => {
  const all = JSON.parse(orders) as Ordered[];
  const found: unknown[] = [];
  await repeat(all.length, AT_A_TIME, async (number) => (found[number] = await run(all[number]!)));
  console.log(JSON.stringify(found));
});
