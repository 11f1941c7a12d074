/**
 * A parent of COUNT children: `parent.js WAY COUNT`. Prints the numbers of all its children as JSON on one line when they
 * are up, and then leaves in that way, or waits for a signal.
 */
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { PortDuplex } from '../../lib/duplex/port-duplex';
import type { PortDuplexOptions } from '../../lib/duplex/port-duplex-options';

type Command = [command: string, args?: readonly string[], options?: PortDuplexOptions];

/** Ends only by a signal, and says that it is there. */
const sleeper: Command = ['sh', ['-c', 'echo; exec sleep 60']];
const deaf: Command = ['sh', ['-c', 'trap "" TERM; echo; exec sleep 60']];
const withChild: Command = ['sh', ['-c', 'sleep 60 & echo $!; wait'], { killTree: true }];
const [way = '', count = ''] = process.argv.slice(2);

function start([command, args, options]: Command, Port = PortDuplex): PortDuplex {
  // that it is ended from outside is what this is about
  return new Port(command, args, options).on('error', () => {});
}

/** The numbers that belong to the ports: their own, and what they print. */
async function numbers(ports: readonly PortDuplex[]): Promise<number[]> {
  const printed = await Promise.all(ports.map((port) => once(port, 'data')));
  return [...ports.map((port) => port.pid!), ...printed.map(Number).filter(Boolean)];
}

async function startAll(command: Command, most = Infinity): Promise<{ ports: PortDuplex[]; pids: number[] }> {
  const ports = Array.from({ length: Math.min(Number(count), most) }, () => start(command));
  return { ports, pids: await numbers(ports) };
}

async function startWithExeca(): Promise<number> {
  const { execa } = await import('execa');
  const child = execa('sleep', ['60'], { reject: false });
  return child.pid!;
}

/** What signal-exit 3 does, which many tools still have. */
function listenAsOldSignalExit(): void {
  const emitter = { count: 1 };
  Object.assign(process, { __signal_exit_emitter__: emitter });
  const listener = (signal: NodeJS.Signals): void => {
    if (process.listenerCount(signal) !== emitter.count) return;
    process.removeListener(signal, listener);
    process.kill(process.pid, signal);
  };
  process.on('SIGTERM', listener);
}

function secondPortDuplex(): typeof PortDuplex {
  for (const file of Object.keys(require.cache)) if (/[\\/]lib[\\/]/.test(file)) delete require.cache[file];
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  const second = (require('../../lib/index') as { PortDuplex: typeof PortDuplex }).PortDuplex;
  if (second === PortDuplex) throw new Error('the copy is the original');
  return second;
}

/** Starts the children; the result are all their numbers, and what to do when they have been told. */
const ways: Record<string, () => Promise<{ pids: number[]; leave?: () => unknown }>> = {
  async 'end with unref'() {
    const { ports, pids } = await startAll(sleeper);
    return { pids, leave: () => ports.forEach((port) => port.unref()) };
  },
  async 'process.exit'() {
    const { pids } = await startAll(sleeper);
    return { pids, leave: () => process.exit(7) };
  },
  async throw() {
    const { pids } = await startAll(sleeper);
    return {
      pids,
      leave: () =>
        setImmediate(() => {
          throw new Error('uncaught');
        }),
    };
  },
  async reject() {
    const { pids } = await startAll(sleeper);
    return { pids, leave: () => void Promise.reject(new Error('unhandled')) };
  },
  async wait() {
    return startAll(sleeper);
  },
  async 'wait with deaf children'() {
    return startAll(deaf);
  },
  async 'wait with grandchildren'() {
    return startAll(withChild, 5);
  },
  async 'wait with deaf children and grandchildren'() {
    const all = await Promise.all([startAll(deaf), startAll(withChild)]);
    return { pids: all.flatMap(({ pids }) => pids) };
  },
  async 'wait with readers'() {
    return startAll(['sh', ['-c', 'echo; exec cat']]);
  },
  async 'wait with a handler'() {
    process.on('SIGTERM', () => process.stdout.write('handled\n'));
    return startAll(['sh', ['-c', 'echo; exec cat']]);
  },
  async 'wait with a handler that goes on to leave'() {
    process.once('SIGTERM', () => {
      process.stdout.write('handled\n');
      process.kill(process.pid, 'SIGTERM');
    });
    return startAll(sleeper);
  },
  async 'execa first'() {
    const stranger = await startWithExeca();
    const { pids } = await startAll(sleeper);
    return { pids: [...pids, stranger] };
  },
  async 'execa last'() {
    const { pids } = await startAll(sleeper);
    return { pids: [...pids, await startWithExeca()] };
  },
  async 'execa and an old signal-exit'() {
    listenAsOldSignalExit();
    const { pids } = await startAll(sleeper);
    return { pids: [...pids, await startWithExeca()] };
  },
  async 'two copies'() {
    const Second = secondPortDuplex();
    const ports = Array.from({ length: Number(count) }, (_, index) =>
      start(sleeper, index % 2 === 0 ? PortDuplex : Second),
    );
    return { pids: await numbers(ports) };
  },
  async 'no descriptor left'() {
    const polite = '$SIG{TERM} = sub { print STDERR "bye\\n"; exit }; $| = 1; print "\\n"; sleep 60';
    const { pids } = await startAll(['perl', ['-e', polite], { stderr: 'inherit' }], 1);
    return {
      pids,
      leave() {
        try {
          for (;;) openSync(__filename, 'r');
        } catch {
          process.exit(0);
        }
      },
    };
  },
};

async function main(): Promise<void> {
  const { pids, leave } = await ways[way]!();
  process.stdout.write(`${JSON.stringify(pids)}\n`);
  leave?.();
}

void main();
