/**
 * Pipes where there may be none: `piped.js few | kind | many | churn`. Prints as JSON what came of it, but for `churn`, which
 * starts ports and destroys them until it is killed.
 */
import { subscribe } from 'node:diagnostics_channel';
import { closeSync, openSync, readdirSync } from 'node:fs';
import { buffer, text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { PortDuplex } from '../../lib/duplex/port-duplex';
import { closePipes, MAX_PIPES, PipeSource, type ChildEnd, type Pipe } from '../../lib/process/pipes';

const NOBODY = 65_534;
const MOST_LEFT = 24;
const source = new PipeSource();

function take(...ends: ChildEnd[]): Promise<readonly Pipe[] | string> {
  return new Promise((resolve) => source.take(ends, resolve));
}

async function ask(): Promise<string> {
  const result = await take('reads', 'writes', 'writes');
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

const ways: Record<string, () => Promise<unknown>> = {
  /** With no descriptor left, one left, and so on, and then with many; and how many more are open than before. */
  async few() {
    // what Node opens at the first use it never closes
    await ask();
    await delay(1);
    const before = readdirSync('/proc/self/fd').length;
    const results: string[] = [];
    for (let left = 0; left <= MOST_LEFT; left += 1) results.push(await withLeft(left));
    const kept = readdirSync('/proc/self/fd').length - before;
    return { results, kept, after: await ask() };
  },

  /** What a program has as its stdin, and why it is no pipe. */
  async kind() {
    let reason: string | undefined;
    subscribe('rexport:no-pipes', (facts) => (reason = (facts as { reason: string }).reason));
    const script = 'local $/; my $in = <STDIN>; print -p STDIN ? "pipe" : -S STDIN ? "socket" : "other", " $in"';
    const port = new PortDuplex('perl', ['-e', script], { pipes: true });
    port.end('input');
    return { kind: await text(port), reason };
  },

  /** An ordinary user who has more pipes than the system lets him have with all their room. */
  async many() {
    if (process.getuid!() === 0) {
      process.setgroups!([]);
      process.setgid!(NOBODY);
      process.setuid!(NOBODY);
    }
    const ends = Array<ChildEnd>(MAX_PIPES).fill('writes');
    // all from one helper
    const all = await Promise.all(Array.from({ length: 160 }, () => take(...ends)));
    const taken: Pipe[] = [];
    for (const pipes of all) {
      if (typeof pipes === 'string') return pipes;
      taken.push(...pipes);
    }
    const port = new PortDuplex('sh', ['-c', 'test -p /dev/stdin && cat'], { pipes: true, cwd: '/' });
    port.end(Buffer.alloc(1_000_000));
    const { length } = await buffer(port);
    closePipes(taken);
    return { pipes: taken.length, bytes: length };
  },

  async churn() {
    process.stdout.write('\n');
    for (;;) {
      const ports = Array.from({ length: 5 }, () => new PortDuplex('cat', { pipes: true }));
      await delay(Math.random() * 10);
      for (const port of ports) port.destroy();
    }
  },
};

async function main(): Promise<void> {
  process.stdout.write(JSON.stringify(await ways[process.argv[2]!]!()));
}

void main();
