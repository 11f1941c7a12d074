/**
 * Sends rows through a queue into a sink that takes its time, and prints by how many bytes its memory has grown at most:
 * SERVER QUEUE ROWS BYTES OPTIONS. After half of them the sink stops: a line says so, and a line of stdin lets it go on.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { connect } from '@nats-io/transport-node';
import { PortQueue } from '../../lib/jetstream';

function peakBytes(): number {
  const [, kibibytes] = /VmHWM:\s*(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  return Number(kibibytes) * 1024;
}

async function main(): Promise<void> {
  const [servers = '', name = '', count = '0', bytes = '0', options = '{}'] = process.argv.slice(2);
  const total = Number(count);
  const connection = await connect({ servers, maxReconnectAttempts: -1, reconnectTimeWait: 50 });
  const queue = new PortQueue(connection, name);
  const filler = 'x'.repeat(Number(bytes));
  function* rows(): Generator<string> {
    for (let n = 0; n < total; n += 1) yield `${n} ${filler}`;
  }
  const startBytes = peakBytes();
  let taken = 0;
  await pipeline(rows, queue.transform({ job: 'flow', ...(JSON.parse(options) as object) }), async (replies) => {
    for await (const reply of replies) {
      if (!String(reply.subarray(0, 20)).startsWith(`=${taken} `))
        throw new Error(`expected row ${taken} in its place`);
      taken += 1;
      if (taken % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
      if (taken !== total / 2) continue;
      console.log(taken);
      await once(process.stdin, 'data');
    }
  });
  console.log(JSON.stringify({ taken, grownBytes: peakBytes() - startBytes }));
  process.stdin.destroy();
  await queue.close();
  await connection.close();
}

void main();
