/**
 * A host with servePort children that it is killed over: prints their numbers as JSON once each is in its state. The
 * first is idle; the second has a handler that hangs, and more messages behind it than one chunk; the third, one that
 * hangs after the end of its input; the fourth keeps itself with a timer after the end.
 */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { encodeFrame } from '../../lib/framing/length-prefix';

const asked = (verb: string): Buffer => encodeFrame(verb);

function start(...args: string[]): ChildProcessByStdio<Writable, Readable, null> {
  return spawn(process.execPath, [path.join(__dirname, 'served.js'), ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
}

async function main(): Promise<void> {
  const [idle, hanging, ended, kept] = [start(), start(), start(), start()];
  const all = [idle, hanging, ended, kept];
  for (const child of all) child.stdin.write(asked('pid'));
  await Promise.all(all.map((child) => once(child.stdout, 'data')));
  hanging.stdin.write(asked('print hangs'));
  await once(hanging.stdout, 'data');
  hanging.stdin.write(Buffer.concat([asked('never'), ...Array<Buffer>(150).fill(asked(`echo ${'x'.repeat(1000)}`))]));
  ended.stdin.end(asked('never'));
  kept.stdin.write(asked('keep'));
  await once(kept.stdout, 'data');
  kept.stdin.end();
  process.stdout.write(`${JSON.stringify(all.map(({ pid }) => pid))}\n`);
}

void main();
