/**
 * Starts a child with no descriptor left, one left, and so on: with `stderr` a pipe, and the same as stdout, which over
 * sockets takes a pair of them with a name. Prints as JSON what became of each, and how many more descriptors are open
 * than before: Node itself forgets three when it had enough for the pipes but not for the rest.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { PortDuplex } from '../../lib/duplex/port-duplex';
import { SpawnError } from '../../lib/errors';

const MOST_LEFT = 14;

/** A port's whole life in a line. */
async function life(stderr: 'pipe' | 'stdout'): Promise<string> {
  const events: string[] = [];
  const port = new PortDuplex('cat', {
    redirect: process.env['SPEC_REDIRECT'] === 'true',
    pipes: process.env['SPEC_PIPES'] === 'true',
    stderr,
  });
  port.on('spawn', () => events.push('spawn'));
  port.on('error', (error) => {
    const cause = (error.cause as NodeJS.ErrnoException | undefined)?.code;
    events.push(error instanceof SpawnError ? `${error.message}, ${cause}` : String(error));
  });
  port.on('end', () => events.push('end'));
  port.resume();
  port.end('x');
  await new Promise((resolve) => port.once('close', resolve));
  return `${events.join(' ')} close${port.pid === undefined ? '' : ' pid'}`;
}

/** The same without a port. */
async function bareLife(): Promise<void> {
  const child = spawn('cat');
  if (child.pid === undefined) {
    await once(child, 'error').catch(() => {});
    return;
  }
  child.stdin.end();
  child.stdout.resume();
  child.stderr.resume();
  await once(child, 'close');
}

async function withLeft<T>(left: number, live: () => Promise<T>): Promise<T> {
  const eaten: number[] = [];
  try {
    for (;;) eaten.push(openSync('/dev/null', 'r'));
  } catch {
    for (const fd of eaten.splice(0, left)) closeSync(fd);
  }
  const result = await live();
  for (const fd of eaten) closeSync(fd);
  // a descriptor is closed in the turn after its stream has said so
  await delay(1);
  return result;
}

/** What each life was, and how many descriptors it left open. */
async function withFewLeft<T>(live: () => Promise<T>): Promise<{ lives: T[]; kept: number }> {
  const before = readdirSync('/proc/self/fd').length;
  const lives: T[] = [];
  for (let left = 0; left <= MOST_LEFT; left += 1) lives.push(await withLeft(left, live));
  return { lives, kept: readdirSync('/proc/self/fd').length - before };
}

async function main(): Promise<void> {
  const events: string[] = [];
  for (const event of ['uncaughtException', 'unhandledRejection', 'warning']) {
    process.on(event as 'warning', (what) => events.push(`${event}: ${String(what)}`));
  }
  await life('pipe');
  await delay(1);
  const bare = await withFewLeft(bareLife);
  const answers = { pipe: await withFewLeft(() => life('pipe')), stdout: await withFewLeft(() => life('stdout')) };
  process.stdout.write(JSON.stringify({ ...answers, events, keptByNode: bare.kept }));
}

void main();
