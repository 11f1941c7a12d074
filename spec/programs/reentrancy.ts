/**
 * Ports whose user calls anything at any moment, and throws: `reentrancy.js SEED RUNS`. In every event and every callback of
 * a port, a random choice of its public methods, or a throw. Prints as JSON what was wrong, by seed, and what was done.
 */
import { existsSync, readFileSync } from 'node:fs';
import { PassThrough } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { PortDuplex } from '../../lib/duplex/port-duplex';
import type { PortDuplexOptions } from '../../lib/duplex/port-duplex-options';
import { randomOf } from '../support/random';

const AT_A_TIME = 20;
const CLOSE_WITHIN_MS = 15_000;
const EXITED_WITHIN_MS = 5000;

const programs: [string, string[]][] = [
  ['cat', []],
  ['head', ['-c', '5']],
  ['true', []],
  ['no-such-program', []],
  ...[
    'cat; exit 3',
    'echo hi; echo note >&2; exec sleep 5',
    'exec 0<&-; echo x; sleep 0.01; echo y',
    'exec 1>&-; cat >/dev/null',
    'trap "" TERM; echo x; cat; sleep 5',
    'head -c 300000 /dev/zero; cat; echo bad >&2; exit 4',
    'sleep 0.05 & echo $!',
  ].map((script): [string, string[]] => ['sh', ['-c', script]]),
];

const events = [
  ...['spawn', 'exit', 'inputclosed', 'outputclosed', 'data', 'readable', 'end', 'finish', 'close', 'error', 'drain'],
  ...['pause', 'resume', 'pipe', 'unpipe'],
];

const uncaught = new Set<unknown>();
process.on('uncaughtException', (error) => uncaught.add(error));
process.on('unhandledRejection', (error) => uncaught.add(error));

/** What was done, in all runs. */
const done: Record<string, number> = {};

function isAlive(pid: number): boolean {
  if (!existsSync(`/proc/${pid}/stat`)) return false;
  return !readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z ');
}

/** Whether the promise settles within the time, of which nothing is left when it does. */
async function isWithin(ms: number, promise: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<boolean>((resolve) => (timer = setTimeout(() => resolve(false), ms)));
  const isSettled = await Promise.race([promise.then(() => true), over]);
  clearTimeout(timer);
  return isSettled;
}

class Run {
  readonly #seed: number;
  readonly #random: () => number;
  readonly #controller = new AbortController();
  readonly #port: PortDuplex;
  readonly #thrown = new Set<Error>();
  readonly #calls: number[] = [];
  readonly #faults: string[] = [];
  /** A run ends: not everything is answered by something else. */
  #energy = 60;
  #sink: PassThrough | undefined;

  constructor(seed: number) {
    this.#seed = seed;
    this.#random = randomOf(seed);
    const [command, args] = this.#one(programs);
    this.#port = new PortDuplex(command, args, this.#options());
    // each of many sources that are piped into it listens
    this.#port.setMaxListeners(0);
  }

  async faults(): Promise<string[]> {
    const port = this.#port;
    for (const event of events) {
      // `readable` changes how a stream flows, and `data` makes it flow
      if (event === 'error' || this.#random() < 0.6) port.on(event, () => this.#react(event));
    }
    this.#controller.signal.addEventListener('abort', () => this.#react('abort'));
    for (let count = 0; count < 3; count += 1) this.#act();
    await this.#closesWithin(this.#one([1, 5, 20, 60]));
    this.#do('destroy');
    port.destroy();
    if (!(await this.#closesWithin(CLOSE_WITHIN_MS))) this.#faults.push('it has not closed');
    if (!(await isWithin(EXITED_WITHIN_MS, port.exited))) this.#faults.push('exited has not settled');
    await new Promise((resolve) => setImmediate(resolve));
    await delay(2);
    this.#calls.forEach((calls, index) => {
      if (calls !== 1) this.#faults.push(`callback ${index} was called ${calls} times`);
    });
    if (port.pid !== undefined && isAlive(port.pid)) this.#faults.push('its program lives');
    for (const error of this.#thrown) {
      if (!uncaught.delete(error)) this.#faults.push(`${error.message} has not reached the process`);
    }
    return this.#faults.map((fault) => `seed ${this.#seed}: ${fault}`);
  }

  async #closesWithin(ms: number): Promise<boolean> {
    if (this.#port.closed) return true;
    // before the listeners that throw, since those behind one are not called
    return isWithin(ms, new Promise((resolve) => this.#port.prependOnceListener('close', resolve)));
  }

  #options(): PortDuplexOptions {
    const random = this.#random;
    return {
      forceKillAfterMs: this.#one([0, 20]),
      signal: this.#controller.signal,
      ...(random() < 0.2 && { stdin: 'ignore' }),
      ...(random() < 0.2 && { stdout: 'ignore' }),
      ...(random() < 0.2 && { timeoutMs: this.#one([1, 10, 50]) }),
      ...(random() < 0.2 && { killTree: true }),
      ...(random() < 0.3 && { highWaterMark: this.#one([1, 16, 1000]) }),
      ...(random() < 0.3 && { onInputClosed: 'error' }),
      ...(random() < 0.2 && { redirect: true }),
      ...(random() < 0.2 && { pipes: true }),
    };
  }

  #react(moment: string): void {
    if (this.#energy <= 0) return;
    this.#energy -= 1;
    while (this.#random() < 0.4) this.#act();
    if (this.#random() < 0.15) {
      const error = new Error(`thrown in ${moment}`);
      this.#thrown.add(error);
      done[`throw in ${moment}`] = (done[`throw in ${moment}`] ?? 0) + 1;
      throw error;
    }
  }

  #callback(): () => void {
    const index = this.#calls.push(0) - 1;
    return () => {
      this.#calls[index]! += 1;
      this.#react('callback');
    };
  }

  #act(): void {
    this.#do(this.#one(Object.keys(this.#methods)));
  }

  #do(name: string): void {
    done[name] = (done[name] ?? 0) + 1;
    this.#methods[name]!();
  }

  readonly #methods: Record<string, () => unknown> = {
    write: () => this.#port.write(Buffer.alloc(this.#one([0, 1, 1000, 300_000]))),
    'write with a callback': () => this.#port.write('some text', this.#callback()),
    'write in an encoding': () => this.#port.write('ff00', 'hex', this.#callback()),
    end: () => this.#random() < 0.3 && this.#port.end(),
    'end with a callback': () => this.#random() < 0.3 && this.#port.end('last', this.#callback()),
    cork: () => {
      this.#port.cork();
      process.nextTick(() => this.#port.uncork());
    },
    read: () => this.#port.read(this.#one([undefined, 1, 0, 100_000])) as unknown,
    resume: () => this.#port.resume(),
    pause: () => this.#port.pause(),
    setEncoding: () => this.#port.setEncoding('latin1'),
    unshift: () => this.#port.readableEnded || this.#port.destroyed || this.#port.unshift(Buffer.from('again')),
    pipe: () => {
      if (!this.#port.readable) return;
      this.#sink ??= new PassThrough().resume();
      this.#port.pipe(this.#sink);
    },
    unpipe: () => this.#port.unpipe(),
    'is piped into': () => {
      const source = new PassThrough().on('error', () => undefined);
      source.pipe(this.#port, { end: this.#random() < 0.5 });
      source.end('piped');
    },
    'is piped into by a port': () => {
      const source = new PortDuplex('echo', ['from a port'], { stdin: 'ignore' }).on('error', () => undefined);
      source.pipe(this.#port);
      this.#port.once('close', () => source.destroy());
      if (this.#port.closed) source.destroy();
    },
    kill: () => this.#port.kill(this.#one(['SIGTERM', 'SIGCONT', 'SIGHUP'])),
    ref: () => this.#port.ref(),
    unref: () => this.#port.unref().ref(),
    destroy: () => this.#random() < 0.3 && this.#port.destroy(),
    'destroy with an error': () => this.#random() < 0.3 && this.#port.destroy(new Error('enough')),
    asyncDispose: () => this.#random() < 0.2 && void this.#port[Symbol.asyncDispose](),
    abort: () => this.#random() < 0.3 && this.#controller.abort(),
    'next of an iterator': () => {
      const iterator = this.#port[Symbol.asyncIterator]();
      iterator.next().catch(() => undefined);
    },
    'return of an iterator': () => {
      if (this.#random() < 0.7) return;
      const iterator = this.#port[Symbol.asyncIterator]();
      void iterator.next();
      void iterator.return!();
    },
    stderr: () => this.#port.stderr?.once('data', () => this.#react('data of stderr')),
    'destroy of stderr': () => this.#port.stderr?.destroy(),
    figures: () => [this.#port.pid, this.#port.exitCode, this.#port.bytesRead, this.#port.writableNeedDrain],
  };

  #one<T>(choices: readonly T[]): T {
    return choices[Math.floor(this.#random() * choices.length)]!;
  }
}

async function main(): Promise<void> {
  const [first = 1, runs = 1] = process.argv.slice(2).map(Number);
  const faults: string[] = [];
  let next = first;
  const work = async (): Promise<void> => {
    while (next < first + runs && faults.length < 20) {
      next += 1;
      faults.push(...(await new Run(next - 1).faults()));
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, work));
  // of whom nobody knows: no listener has thrown them
  for (const error of uncaught) faults.push(`uncaught: ${(error as Error | undefined)?.stack ?? String(error)}`);
  process.stdout.write(JSON.stringify({ faults, done }));
}

void main();
