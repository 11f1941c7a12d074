/** `rexport serve`: serveQueue as a command, for hosts without a line of code. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { PortPool, type PortPoolOptions } from '../lib/index';
import type { QueueStatistics, ServeQueueOptions } from '../lib/jetstream';
import type { Console } from './cli';

export const SERVE_USAGE = `usage: rexport serve --queue NAME [options] -- command [args]

Answers the rows of a queue with copies of a program that speaks the port protocol: a length, then a message, both ways.
As many hosts as you like may serve the same queue. SIGTERM or SIGINT drains: what is held is answered, then it ends.

  --queue NAME        the queue, as the producer names it
  --nats URL          the server, or several with commas (nats://127.0.0.1:4222); it is waited for
  --creds FILE        credentials of the account
  --size N            copies of the program (one per core)
  --max-in-flight N   requests that one copy is given at a time (1)
  --packet 1|2|4      bytes of the length (4)
  --timeout MS        deadline of a row (60000)
  --capacity N        messages held at a time (what the copies hold, and one)
  --ack-wait MS       after this the rows of a dead host go to another (30000)
  --max-deliver N     deliveries of a row before it is a dead letter (5)
  --retry-delay MS    before a row that failed comes again (1000)
  --report SECONDS    between two lines of statistics (60); one more comes at the end

Exit code: 0 when it was drained, 1 when the program or the server was given up, 2 for wrong arguments.
`;

interface Order {
  readonly queue: string;
  readonly servers: string[];
  readonly credsFile: string | undefined;
  readonly command: string;
  readonly args: readonly string[];
  readonly pool: PortPoolOptions;
  readonly serve: ServeQueueOptions;
  readonly reportMs: number;
}

/** @returns the exit code */
export async function serve(args: readonly string[], { out, err }: Console): Promise<0 | 1 | 2> {
  let order: Order | undefined;
  try {
    order = parse(args);
  } catch (error) {
    err(`rexport: ${(error as Error).message}\n\n${SERVE_USAGE}`);
    return 2;
  }
  if (order === undefined) {
    out(SERVE_USAGE);
    return 0;
  }
  const drain = new AbortController();
  const leave = (): void => drain.abort();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, leave);
  try {
    await run(order, drain.signal, out);
    return 0;
  } catch (error) {
    err(`rexport: ${(error as Error).message}`);
    return error instanceof TypeError || error instanceof RangeError ? 2 : 1;
  } finally {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.off(signal, leave);
  }
}

async function run(order: Order, signal: AbortSignal, out: (line: string) => void): Promise<void> {
  const { queue, servers, credsFile, command, args } = order;
  // Only here: the other commands need no client of NATS. An import() could not name a source without its ending.
  /* eslint-disable @typescript-eslint/no-require-imports */
  const { serveQueue } = require('../lib/jetstream') as typeof import('../lib/jetstream');
  const { connect, credsAuthenticator } =
    require('@nats-io/transport-node') as typeof import('@nats-io/transport-node');
  /* eslint-enable @typescript-eslint/no-require-imports */
  await using pool = new PortPool(command, args, order.pool);
  out(`${queue}: connecting to ${servers.join(', ')}`);
  const authenticator = credsFile === undefined ? undefined : credsAuthenticator(readFileSync(credsFile));
  const connecting = connect({
    servers,
    name: `rexport serve ${queue}`,
    maxReconnectAttempts: -1,
    waitOnFirstConnect: true,
    ...(authenticator === undefined ? {} : { authenticator }),
  });
  const connection = await Promise.race([connecting, once(signal)]);
  if (connection === undefined) {
    // There is no way to call off a first connect: the process ends with it.
    connecting.then((late) => late.close()).catch(() => {});
    return;
  }
  let last: QueueStatistics | undefined;
  const remember = (facts: unknown): void => void (last = (facts as { statistics: QueueStatistics }).statistics);
  subscribe('rexport:queue', remember);
  const timer = setInterval(() => out(`${queue}: ${line(last)}`), order.reportMs);
  try {
    out(`${queue}: serving`);
    last = await serveQueue(pool, connection, queue, { ...order.serve, signal });
  } finally {
    clearInterval(timer);
    unsubscribe('rexport:queue', remember);
    out(`${queue}: ended, ${line(last)}`);
    await connection.close();
  }
}

function once(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
}

function line(statistics: QueueStatistics | undefined): string {
  if (statistics === undefined) return 'no rows yet';
  const { messages, rows, replies, deadLetters, returned, pending, rowMs } = statistics;
  const times = `${rowMs.p50.toFixed(1)} ms a row at the median, ${rowMs.p99.toFixed(1)} at p99`;
  return `${rows} rows in ${messages} messages, ${replies} replies, ${deadLetters} dead letters, ${returned} returned, ${pending} held, ${times}`;
}

/** @returns undefined where help is asked for */
function parse(all: readonly string[]): Order | undefined {
  const border = all.indexOf('--');
  const { values } = parseArgs({
    args: border === -1 ? [...all] : all.slice(0, border),
    options: {
      queue: { type: 'string' },
      nats: { type: 'string', default: 'nats://127.0.0.1:4222' },
      creds: { type: 'string' },
      size: { type: 'string' },
      'max-in-flight': { type: 'string' },
      packet: { type: 'string' },
      timeout: { type: 'string', default: '60000' },
      capacity: { type: 'string' },
      'ack-wait': { type: 'string' },
      'max-deliver': { type: 'string' },
      'retry-delay': { type: 'string' },
      report: { type: 'string', default: '60' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help === true) return undefined;
  const { queue } = values;
  if (queue === undefined) throw new Error('expected --queue to name a queue, got none');
  const [command, ...args] = border === -1 ? [] : all.slice(border + 1);
  if (command === undefined || command === '') throw new Error('expected a command behind `--`, got none');
  const packet = number('packet', values.packet);
  if (packet !== undefined && packet !== 1 && packet !== 2 && packet !== 4) {
    throw new Error(`expected --packet to be 1, 2 or 4, got ${packet}`);
  }
  const reportMs = Number(values.report) * 1000;
  if (!(reportMs > 0 && reportMs < 2 ** 31)) {
    throw new Error(`expected --report to be a number of seconds above 0, got ${values.report}`);
  }
  return {
    queue,
    servers: values.nats.split(','),
    credsFile: values.creds,
    command,
    args,
    pool: {
      size: number('size', values.size) ?? availableParallelism(),
      maxInFlight: number('max-in-flight', values['max-in-flight']),
      packet,
      requestTimeoutMs: number('timeout', values.timeout),
    },
    serve: {
      capacity: number('capacity', values.capacity),
      ackWaitMs: number('ack-wait', values['ack-wait']),
      maxDeliver: number('max-deliver', values['max-deliver']),
      retryDelayMs: number('retry-delay', values['retry-delay']),
    },
    reportMs,
  };
}

function number(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d+$/.test(text)) return Number(text);
  throw new Error(`expected --${name} to be a whole number, got ${text}`);
}
