/** The worker of queue.bench.ts, on a host of its own as far as one machine has two: SERVER SIZE COMMAND ARGS... */
import { connect } from '@nats-io/transport-node';
import { PortPool } from '../lib';
import { serveQueue } from '../lib/jetstream';

async function main(): Promise<void> {
  const [servers = '', size = '1', maxInFlight = '1', command = '', ...args] = process.argv.slice(2);
  const pool = new PortPool(command, args, { size: Number(size), maxInFlight: Number(maxInFlight) });
  await serveQueue(pool, await connect({ servers }), 'bench', { timeoutMs: 60_000 });
}

void main();
