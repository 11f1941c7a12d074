/** The processes of queue.ts: each is killed with SIGKILL, and another is started in its place. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const tsNode = join(__dirname, '..', 'node_modules', 'ts-node', 'dist', 'bin.js');

export function hasServer(): boolean {
  return spawnSync('nats-server', ['--version']).status === 0;
}

export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}

/** A process that is always there, until `end`. */
export class Part {
  starts = 0;
  kills = 0;
  readonly #start: () => ChildProcess;
  readonly #isDone: (code: number | null) => boolean;
  #process: ChildProcess | undefined;
  #state: 'running' | 'ending' | 'ended' = 'running';
  /** Resolves with what the last process has printed, once it has ended well or was ended. */
  readonly ended: Promise<string>;
  #resolve: (stdout: string) => void = () => {};

  /** @param isDone whether an exit with this code is the end; else the next is started */
  constructor(start: () => ChildProcess, isDone: (code: number | null) => boolean = () => false) {
    this.#start = start;
    this.#isDone = isDone;
    this.ended = new Promise((resolve) => (this.#resolve = resolve));
    this.#begin();
  }

  kill(): void {
    this.kills += 1;
    this.#process?.kill('SIGKILL');
  }

  /** @param signal SIGTERM for a worker, so that it drains */
  async end(signal: NodeJS.Signals): Promise<void> {
    if (this.#state === 'running') this.#state = 'ending';
    this.#process?.kill(signal);
    await this.ended;
  }

  #begin(): void {
    this.starts += 1;
    const child = this.#start();
    this.#process = child;
    let stdout = '';
    child.stdout?.on('data', (chunk: Buffer) => (stdout += String(chunk)));
    child.once('close', (code) => {
      if (this.#state === 'running' && !this.#isDone(code)) {
        // As a supervisor does, not at once.
        void delay(100).then(() => (this.#state === 'running' ? this.#begin() : this.#over(stdout)));
      } else this.#over(stdout);
    });
  }

  #over(stdout: string): void {
    this.#state = 'ended';
    this.#resolve(stdout);
  }
}

export function server(port: number, store: string): Part {
  const args = ['-js', '-sd', store, '-a', '127.0.0.1', '-p', String(port)];
  return new Part(() => spawn('nats-server', args, { stdio: 'ignore' }));
}

/** The command `rexport serve`, as a host without a line of code runs it. */
export function worker(url: string): Part {
  const command = ['python3', join(__dirname, 'queue-child.py')];
  const options = '--size 2 --ack-wait 2000 --timeout 3000 --retry-delay 100'.split(' ');
  const bin = join(__dirname, '..', 'check', 'bin.ts');
  const args = [tsNode, bin, 'serve', '--queue', 'reviews', '--nats', url, ...options, '--', ...command];
  return new Part(() => spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] }));
}

export function producer(url: string, file: string, rows: number, hasFaults: boolean): Part {
  const script = join(__dirname, 'queue-producer.ts');
  const args = [tsNode, script, url, file, String(rows), hasFaults ? 'faults' : 'none'];
  return new Part(
    () => spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] }),
    (code) => code === 0,
  );
}
