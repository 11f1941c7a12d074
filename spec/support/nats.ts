/** A real server of its own for a spec, and what the specs of queues share. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import { connect, type ConnectionOptions, type NatsConnection } from '@nats-io/transport-node';
import { PortPool, type PortPoolOptions } from '../../lib/index';
import {
  type PortQueue,
  type QueueStatistics,
  type QueueTransformOptions,
  type ServedPool,
  serveQueue,
  type ServeQueueOptions,
} from '../../lib/jetstream';
import { moduleOf } from './compiled-tree.cjs';
import { programPath } from './programs';

const perlProgram = path.join(__dirname, '..', 'programs', 'moody.pl');

/** nats-server on a free port, with a store of its own; it may be killed and come back on the same port. */
export class NatsServer {
  readonly url: string;
  readonly #port: number;
  readonly #config: string;
  readonly #store = mkdtempSync(path.join(tmpdir(), 'rexport-nats-'));
  #process: ChildProcess | undefined;

  /** @param config in the server's own language */
  private constructor(port: number, config: string) {
    this.#port = port;
    this.#config = path.join(this.#store, 'server.conf');
    writeFileSync(this.#config, config);
    this.url = `nats://127.0.0.1:${port}`;
  }

  static async start(config = ''): Promise<NatsServer> {
    const server = new NatsServer(await freePort(), config);
    await server.start();
    return server;
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  async start(): Promise<void> {
    const args = [
      '-c',
      this.#config,
      '-js',
      '-sd',
      path.join(this.#store, 'js'),
      '-a',
      '127.0.0.1',
      '-p',
      String(this.#port),
    ];
    const server = spawn('nats-server', args, { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#process = server;
    let said = '';
    await new Promise<void>((resolve, reject) => {
      // read to its end, or the server is never closed
      server.stderr.on('data', (chunk: Buffer) => {
        said += String(chunk);
        if (said.includes('Server is ready')) resolve();
      });
      server.once('close', () => reject(new Error(`expected a server that is ready, got ${said}`)));
    });
  }

  /** As a power cut of the process ends it: with SIGKILL. */
  async kill(): Promise<void> {
    const server = this.#process;
    this.#process = undefined;
    if (server === undefined) return;
    const closed = once(server, 'close');
    server.kill('SIGKILL');
    await closed;
  }

  /** As a power cut of the machine may leave it, at worst. */
  loseStore(): void {
    rmSync(path.join(this.#store, 'js'), { recursive: true, force: true });
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#store, { recursive: true, force: true });
  }

  connect(options: ConnectionOptions = {}): Promise<NatsConnection> {
    const patient = { maxReconnectAttempts: -1, reconnectTimeWait: 50, reconnectJitter: 0 };
    return connect({ servers: this.url, ...patient, ...options });
  }
}

export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}

/** What a spec has opened, closed after it in the opposite order, whatever happened. */
export class Opened {
  readonly #ends: (() => unknown)[] = [];
  #isClosing = false;

  get isClosing(): boolean {
    return this.#isClosing;
  }

  add(end: () => unknown): void {
    this.#ends.push(end);
  }

  async closeAll(): Promise<void> {
    this.#isClosing = true;
    for (const end of this.#ends.splice(0).reverse()) await end();
    this.#isClosing = false;
  }
}

export interface Host {
  readonly pool: PortPool;
  /** Settles as serveQueue does. */
  readonly served: Promise<QueueStatistics>;
  /** Drains it. */
  stop(): Promise<QueueStatistics>;
}

export interface HostOptions {
  readonly pool?: PortPoolOptions;
  readonly serve?: ServeQueueOptions;
  readonly command?: string;
  /** The deadline of each request, whatever serveQueue asks for. */
  readonly deadlineOf?: (row: string) => number;
}

/** A worker in this process, with a connection of its own. */
export async function startHost(
  server: NatsServer,
  opened: Opened,
  name: string,
  options: HostOptions = {},
): Promise<Host> {
  const { command = 'perl', deadlineOf } = options;
  const connection = await server.connect();
  opened.add(() => connection.close());
  const pool = new PortPool(command, [perlProgram], { size: 2, ...options.pool });
  opened.add(() => pool.destroy());
  const drain = new AbortController();
  const serve = { timeoutMs: 30_000, retryDelayMs: 50, signal: drain.signal, ...options.serve };
  const served = serveQueue(deadlineOf === undefined ? pool : timed(pool, deadlineOf), connection, name, serve);
  served.catch(() => {});
  opened.add(async () => {
    drain.abort();
    await pool.destroy();
    await served.catch(() => {});
  });
  return {
    pool,
    served,
    stop: () => {
      drain.abort();
      return served;
    },
  };
}

function timed(pool: PortPool, deadlineOf: (row: string) => number): ServedPool {
  return {
    request: (row, options) => pool.request(row, { ...options, timeoutMs: deadlineOf(String(row)) }),
    capacity: pool.capacity,
    get state() {
      return pool.state;
    },
  };
}

export interface HostProcess {
  readonly pid: number;
  readonly exited: Promise<number | NodeJS.Signals>;
  kill(signal: NodeJS.Signals): void;
  /** Both streams. */
  said(): string;
}

/** A worker as a process: `rexport serve`. */
export function startHostProcess(server: NatsServer, opened: Opened, name: string, ...args: string[]): HostProcess {
  return startHostProcessOf([], server, opened, name, ...args);
}

/** The same in a Node with options. */
export function startHostProcessOf(
  nodeOptions: readonly string[],
  server: NatsServer,
  opened: Opened,
  name: string,
  ...args: string[]
): HostProcess {
  const bin = path.resolve(programPath('served'), '../../../check/bin.js');
  moduleOf(path.join(__dirname, '..', '..', 'check', 'bin.ts'));
  const own = ['serve', '--queue', name, '--nats', server.url, '--size', '1', ...args];
  const child = spawn(process.execPath, [...nodeOptions, bin, ...own, '--', 'perl', perlProgram], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += String(chunk)));
  const exited = new Promise<number | NodeJS.Signals>((resolve) => {
    child.once('close', (code, signal) => resolve(code ?? signal ?? 'SIGKILL'));
  });
  opened.add(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  return { pid: child.pid ?? 0, exited, kill: (signal) => void child.kill(signal), said: () => said };
}

/** The server's own account of what is there. */
export async function managerOf(connection: NatsConnection): Promise<JetStreamManager> {
  return jetstreamManager(connection);
}

/** All rows through a transform; what came out, as text. */
export async function through(
  queue: PortQueue,
  rows: Iterable<string> | AsyncIterable<string>,
  options: QueueTransformOptions<string | NodeJS.ArrayBufferView, Buffer>,
  each: (reply: string) => unknown = () => undefined,
): Promise<string[]> {
  const out: string[] = [];
  await pipeline(rows, queue.transform(options), async (replies: AsyncIterable<Buffer>) => {
    for await (const reply of replies) {
      out.push(String(reply));
      await each(String(reply));
    }
  });
  return out;
}

export function numbered(count: number, from = 0): string[] {
  return Array.from({ length: count - from }, (_, n) => `row ${from + n}`);
}

export function answers(rows: readonly string[]): string[] {
  return rows.map((row) => `=${row}`);
}
