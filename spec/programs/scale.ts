/**
 * Many ports one after another: `scale.js WAY COUNT AT_A_TIME...`, where a way is finish, destroy, statuses, abort, redirect
 * or pipes. Prints as JSON, by way, what was alive before and after, the outcomes with their counts, and what reached process.
 */
import { once, getEventListeners, getMaxListeners } from 'node:events';
import { createReadStream, createWriteStream, readdirSync, readFileSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { setImmediate as turn } from 'node:timers/promises';
import { PortDuplex } from '../../lib/duplex/port-duplex';
import type { PortDuplexOptions } from '../../lib/duplex/port-duplex-options';

const shared = new AbortController();
const { signal } = shared;

/** Also those that are unref'ed, which no call of Node's lists. */
const timers = new Set<NodeJS.Timeout>();
const { setTimeout: original } = globalThis;
globalThis.setTimeout = Object.assign((...args: Parameters<typeof setTimeout>) => {
  const timer = original(...args);
  timers.add(timer);
  return timer;
}, original);

let reached: string[] = [];
for (const event of ['uncaughtException', 'unhandledRejection', 'warning']) {
  process.on(event as 'warning', (what) => reached.push(`${event}: ${String(what)}`));
}

async function level(): Promise<unknown> {
  for (let turns = 0; turns < 10; turns += 1) await turn();
  for (const timer of timers) if ((timer as unknown as { _destroyed: boolean })._destroyed) timers.delete(timer);
  const children = readdirSync('/proc/self/task').map((task) =>
    readFileSync(`/proc/self/task/${task}/children`, 'utf8'),
  );
  return {
    descriptors: readdirSync('/proc/self/fd').length,
    children: children.join(''),
    timers: timers.size,
    resources: process.getActiveResourcesInfo().sort(),
    listeners: process.eventNames().map((event) => [String(event), process.listenerCount(event)]),
    onSignal: [getEventListeners(signal, 'abort').length, getMaxListeners(signal)],
  };
}

function open(command: string, args: readonly string[] = [], options: PortDuplexOptions = {}): PortDuplex {
  return new PortDuplex(command, args, { ...options, signal });
}

async function closed(port: PortDuplex): Promise<void> {
  if (!port.closed) await new Promise((resolve) => port.once('close', resolve));
}

let redirected = 0;
let piped = 0;
let lives = 0;

function on(stream: NodeJS.EventEmitter, event: string) {
  return (listener: () => void): unknown => stream.once(event, listener);
}

/** One port's life; how it ended. */
const ways: Record<string, () => Promise<string>> = {
  async finish() {
    const port = open('true').resume();
    port.end();
    await once(port, 'close');
    return `code ${port.exitCode}`;
  },
  async destroy() {
    const port = open('sleep', ['60']);
    await once(port, 'spawn');
    port.destroy();
    await once(port, 'close');
    return `${port.signalCode}`;
  },
  async statuses() {
    const port = open('sh', ['-c', 'exit 17']);
    const [error] = (await once(port, 'error')) as [Error & { exitCode: number }];
    await closed(port);
    return `${error.name} with code ${error.exitCode}`;
  },
  async abort() {
    const port = open('sleep', ['60']);
    await once(port, 'spawn');
    const failed = once(port, 'error') as Promise<[Error]>;
    if (getEventListeners(signal, 'abort').length === lives) shared.abort();
    const [error] = await failed;
    await closed(port);
    return `${error.name}, ${port.signalCode}`;
  },
  async redirect() {
    redirected += 1;
    const isAborted = redirected % 3 === 0;
    const ports = [
      new PortDuplex('cat', { redirect: true }),
      new PortDuplex(isAborted ? 'sleep' : 'head', isAborted ? ['60'] : ['-c', '5'], { redirect: true }),
    ] as const;
    const source = createReadStream(__filename);
    const sink = createWriteStream('/dev/null');
    const controller = new AbortController();
    const abort = (): void => controller.abort();
    // before the files are open, when one is, when one child is there, when both are
    const moments = [() => process.nextTick(abort), on(source, 'open'), on(ports[1], 'spawn'), on(ports[0], 'spawn')];
    if (isAborted) moments[redirected % 4]!(abort);
    const stages = pipeline(source, ...ports, sink, { signal: controller.signal });
    const outcome = await stages.then(
      () => 'success',
      // newer Nodes may tell it of a stage in the middle in this way
      ({ name, code }: NodeJS.ErrnoException) => (code === 'ERR_STREAM_PREMATURE_CLOSE' ? 'AbortError' : name),
    );
    await Promise.all(ports.map(closed));
    return outcome;
  },
  async pipes() {
    piped += 1;
    const isDestroyed = piped % 3 === 0;
    const port = new PortDuplex('cat', { pipes: true });
    port.resume();
    if (isDestroyed) {
      // before it asks for pipes, while it waits for them, when the program is there
      setTimeout(() => port.destroy(), Math.random() * 20);
      port.write('x');
    } else {
      port.end('x');
    }
    await closed(port);
    return isDestroyed ? 'destroyed' : `code ${port.exitCode}, bytes ${port.bytesRead}`;
  },
};

async function live(way: string, count: number, atATime: number): Promise<unknown> {
  const run = ways[way]!;
  lives = count;
  reached = [];
  const before = await level();
  const outcomes: Record<string, number> = {};
  let left = count;
  const lane = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const outcome = await run();
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: atATime }, lane));
  const after = await level();
  return { before, after, outcomes, reached };
}

async function main(): Promise<void> {
  // what Node opens at the first use it never closes
  await ways['finish']!();
  const answers: Record<string, unknown> = {};
  const words = process.argv.slice(2);
  while (words.length > 0) {
    const [way = '', count, atATime] = words.splice(0, 3);
    answers[way] = await live(way, Number(count), Number(atATime));
  }
  process.stdout.write(JSON.stringify(answers));
}

void main();
