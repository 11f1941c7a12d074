/**
 * `rounds.js port | bare ROUNDS`: in each of ROUNDS rounds opens children until no descriptor is left, then closes them all, with
 * PortDuplex or with child_process itself; and so once more with a descriptor less, and with two. Prints as JSON how many
 * there were in each round, and how they did.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import type { PortDuplex } from '../../lib/duplex/port-duplex';

interface Opened {
  /** Sends a byte through and back, and closes the child. */
  readonly use: () => Promise<string>;
}

const ways: Record<string, () => Promise<Opened | string>> = {
  async port() {
    // what is bare is to be so from the start
    // eslint-disable-next-line @typescript-eslint/no-require-imports
    const Port = (require('../../lib/duplex/port-duplex') as { PortDuplex: typeof PortDuplex }).PortDuplex;
    const port = new Port('cat');
    const failure = await once(port, 'spawn').then(
      () => undefined,
      (error: Error) => error,
    );
    if (failure !== undefined) return `${failure.name} ${(failure.cause as NodeJS.ErrnoException).code}`;
    return {
      async use() {
        port.end('x');
        let said = '';
        for await (const chunk of port) said += String(chunk);
        if (!port.closed) await once(port, 'close');
        return `${said} ${port.exitCode}`;
      },
    };
  },

  async bare() {
    const child = spawn('cat');
    if (child.pid === undefined) return once(child, 'error').then(([error]) => (error as NodeJS.ErrnoException).code!);
    return {
      async use() {
        child.stdin.end('x');
        let said = '';
        child.stdout.on('data', (chunk) => (said += String(chunk)));
        child.stderr.resume();
        await once(child, 'close');
        return `${said} ${child.exitCode}`;
      },
    };
  },
};

async function round(open: () => Promise<Opened | string>): Promise<unknown> {
  const all: Opened[] = [];
  for (;;) {
    const opened = await open();
    if (typeof opened === 'string') {
      const said = await Promise.all(all.map(({ use }) => use()));
      return { opened: all.length, refused: opened, said: [...new Set(said)] };
    }
    all.push(opened);
  }
}

async function main(): Promise<void> {
  const open = ways[process.argv[2] ?? '']!;
  const all: unknown[][] = [];
  for (let taken = 0; taken < 3; taken += 1) {
    if (taken > 0) openSync('/dev/null', 'r');
    const rounds: unknown[] = [];
    for (let index = 0; index < Number(process.argv[3]); index += 1) rounds.push(await round(open));
    all.push(rounds);
  }
  process.stdout.write(JSON.stringify(all));
}

void main();
