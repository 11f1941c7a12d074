/**
 * A worker thread with a loader that waits for the rest of its input: `worker-parent.js WAY COMMAND ARGS...`. The main thread
 * prints the number of the loader when that is ready, and then ends the worker or itself in that way; `ends well` is the worker
 * that lets its loader end.
 */
import { once } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { PortDuplex, type PortDuplexOptions } from '../../lib/index';

interface Job {
  readonly way: string;
  readonly command: string;
  readonly args: string[];
  readonly options: PortDuplexOptions;
}

async function load({ way, command, args, options }: Job): Promise<void> {
  const loader = new PortDuplex(command, args, options);
  const input = loader.fds[3] ?? loader;
  input.write('half of the rows\n');
  await once(loader, 'readable');
  parentPort!.postMessage(loader.pid);
  if (way === 'ends well') {
    loader.resume().end();
    input.end();
  }
  await loader.exited;
}

async function main(): Promise<void> {
  const [way = '', command = '', ...args] = process.argv.slice(2);
  const options = JSON.parse(process.env['OPTIONS'] ?? '{}') as PortDuplexOptions;
  const job: Job = { way, command, args, options };
  const worker = new Worker(__filename, { workerData: job });
  const [pid] = (await once(worker, 'message')) as [number];
  process.stdout.write(`${pid}\n`);
  if (way === 'terminate') await worker.terminate();
  if (way === 'process.exit') process.exit(7);
  await once(worker, 'exit');
}

void (isMainThread ? main() : load(workerData as Job));
