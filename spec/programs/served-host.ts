/**
 * A host with servePort children that it is killed over, `served-host.js STATE...`: prints their numbers as JSON once each is
 * in its state: `idle`; `hanging`, with a handler that hangs, and more messages behind it than one chunk; `ended`, with one
 * that hangs after the end of its input; `kept`, by a timer after the end.
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

type Child = ReturnType<typeof start>;

const bring: Record<string, (child: Child) => unknown> = {
  idle: () => undefined,
  async hanging({ stdin, stdout }) {
    stdin.write(asked('print hangs'));
    await once(stdout, 'data');
    stdin.write(Buffer.concat([asked('never'), ...Array<Buffer>(150).fill(asked(`echo ${'x'.repeat(1000)}`))]));
  },
  ended: ({ stdin }) => stdin.end(asked('never')),
  async kept({ stdin, stdout }) {
    stdin.write(asked('keep'));
    await once(stdout, 'data');
    stdin.end();
  },
};

async function main(): Promise<void> {
  const children = process.argv.slice(2).map(async (state) => {
    const child = start();
    child.stdin.write(asked('pid'));
    await once(child.stdout, 'data');
    await bring[state]!(child);
    return child.pid;
  });
  process.stdout.write(`${JSON.stringify(await Promise.all(children))}\n`);
}

void main();
