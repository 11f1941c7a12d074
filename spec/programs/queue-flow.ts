/**
 * Sends rows through a queue into sinks that take their time: SERVER QUEUE FLOWS, each flow a job with a sink of its own. All
 * stop before their first row, at a quarter and at the last, and `stopped` is printed; at a line of stdin what the process
 * holds is printed as JSON, and they go on.
 */
import { EventEmitter, once } from 'node:events';
import { readFileSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { connect } from '@nats-io/transport-node';
import { PortQueue } from '../../lib/jetstream';
import { liveBytes } from '../support/memory';

export interface Flow {
  readonly job: string;
  readonly rows: number;
  readonly bytes: number;
  readonly window: number;
  readonly batch: number;
}

/** In bytes. */
export interface Held {
  readonly live: number;
  /** The most that was ever resident. */
  readonly peak: number;
}

const [servers = '', name = '', json = '[]'] = process.argv.slice(2);
const flows = JSON.parse(json) as Flow[];
const goingOn = new EventEmitter();
let stops = 0;

function peakBytes(): number {
  const [, kibibytes] = /VmHWM:\s*(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  return Number(kibibytes) * 1024;
}

/** Until all flows are there, and may go on. */
async function stop(): Promise<void> {
  const going = once(goingOn, 'all');
  stops += 1;
  if (stops % flows.length === 0) {
    console.log('stopped');
    await once(process.stdin, 'data');
    const held: Held = { live: await liveBytes(), peak: peakBytes() };
    console.log(JSON.stringify(held));
    goingOn.emit('all');
  }
  await going;
}

async function run(queue: PortQueue, { rows, bytes, ...options }: Flow): Promise<void> {
  const filler = 'x'.repeat(bytes);
  function* numbered(): Generator<string> {
    for (let n = 0; n < rows; n += 1) yield `${n} ${filler}`;
  }
  let taken = 0;
  await stop();
  await pipeline(numbered, queue.transform(options), async (replies) => {
    for await (const reply of replies) {
      if (!String(reply.subarray(0, 20)).startsWith(`=${taken} `))
        throw new Error(`expected row ${taken} in its place`);
      taken += 1;
      if (taken % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
      if (taken === rows / 4 || taken === rows) await stop();
    }
  });
}

async function main(): Promise<void> {
  const connection = await connect({ servers, maxReconnectAttempts: -1, reconnectTimeWait: 50 });
  const queue = new PortQueue(connection, name);
  await Promise.all(flows.map((flow) => run(queue, flow)));
  process.stdin.destroy();
  await queue.close();
  await connection.close();
}

void main();
