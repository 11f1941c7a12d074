/**
 * What a queue costs: the same rows through the same children, over JetStream and over a pool in this process. The
 * server keeps its streams on disk; server, worker and producer share the cores of one machine.
 */
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { connect } from '@nats-io/transport-node';
import { PortDuplex, PortPool } from '../lib';
import { PortQueue } from '../lib/jetstream';
import type { Bench, Contender, Work } from './harness';

type Program = readonly [command: string, args: readonly string[]];

/** Sleeps as many milliseconds as a row says, then echoes. */
const sleeper: Program = [
  'perl',
  [
    '-e',
    `binmode $_ for *STDIN, *STDOUT;
     $| = 1;
     while (read(STDIN, my $header, 4) == 4) {
       read STDIN, my $message, unpack "N", $header;
       select undef, undef, undef, $message / 1000;
       print $header, $message;
     }`,
  ],
];
const echo: Program = ['cat', []];
const SIZE = 2;

interface Setup {
  readonly program: Program;
  readonly row: string;
  readonly maxInFlight: number;
}

async function drain({ size }: Work, stage: NodeJS.ReadWriteStream): Promise<void> {
  let count = 0;
  const sink = new Writable({
    objectMode: true,
    write: (_reply, _encoding, callback) => {
      count += 1;
      callback();
    },
  });
  await pipeline(stage, sink);
  if (count !== size) throw new Error(`expected ${size} replies, got ${count}`);
}

function source({ size }: Work, row: string): Readable {
  return Readable.from(
    (function* () {
      for (let count = 0; count < size; count += 1) yield row;
    })(),
  );
}

function local({ program, row, maxInFlight }: Setup): Contender {
  return (work) => {
    const pool = new PortPool(...program, { size: SIZE, maxInFlight });
    return () => drain(work, source(work, row).pipe(pool.transform()));
  };
}

function queued({ program: [command, args], row, maxInFlight }: Setup, batch: number): Contender {
  return async (work) => {
    const port = await freePort();
    const url = `nats://127.0.0.1:${port}`;
    const store = mkdtempSync(join(work.folder, 'store-'));
    // Ports, so that they end with this process.
    const server = new PortDuplex('nats-server', ['-js', '-sd', store, '-a', '127.0.0.1', '-p', `${port}`], {
      stdin: 'ignore',
      stdout: 'ignore',
    });
    const missing = await new Promise<string | undefined>((resolve) => {
      server.once('error', () => resolve('there is no nats-server'));
      server.stderr?.on('data', (chunk: Buffer) => {
        if (String(chunk).includes('Server is ready')) resolve(undefined);
      });
    });
    if (missing !== undefined) return missing;
    const worker = [join(__dirname, 'queue-worker.js'), url, `${SIZE}`, `${maxInFlight}`, command, ...args];
    new PortDuplex(process.execPath, worker, { stdin: 'ignore', stdout: 'ignore', stderr: 'inherit' });
    const queue = new PortQueue(await connect({ servers: url }), 'bench');
    let job = 0;
    return () => drain(work, source(work, row).pipe(queue.transform({ job: `job-${job++}`, batch })));
  };
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}

const SLOW: Setup = { program: sleeper, row: '2', maxInFlight: 1 };
const TINY: Setup = { program: echo, row: 'x'.repeat(64), maxInFlight: 64 };

export const bench: Bench = {
  slow: {
    title: 'rows of 2 ms each, two children',
    size: 1000,
    rounds: 3,
    targets: { 'a pool in this process': 0.8 },
    contenders: {
      'over a queue, 8 rows a message': queued(SLOW, 8),
      'a pool in this process': local(SLOW),
      'over a queue, row by row': queued(SLOW, 1),
    },
  },
  tiny: {
    title: '64 B rows that `cat` echoes, two children',
    size: 50_000,
    rounds: 3,
    targets: { 'a pool in this process': 0.3 },
    contenders: {
      'over a queue, 256 rows a message': queued(TINY, 256),
      'a pool in this process': local(TINY),
      'over a queue, 64 rows a message': queued(TINY, 64),
    },
  },
};
