/**
 * A worker thread with loaders that wait for the rest of their input: `worker-parent.js WAY COMMAND ARGS...`. LOADERS has the
 * options of each as JSON, and what it gets behind ARGS. The main thread prints the numbers of the loaders as JSON when
 * all are ready, and then ends the worker or itself in that way; `ends well` is the worker that lets its loaders end.
 */
import { once } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { PortDuplex } from '../../lib/duplex/port-duplex';
import type { PortDuplexOptions } from '../../lib/duplex/port-duplex-options';

export interface Loader {
  readonly args: readonly string[];
  readonly options: PortDuplexOptions;
}

interface Job {
  readonly way: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly loaders: readonly Loader[];
}

async function load({ way, command, args, loaders }: Job): Promise<void> {
  const started = loaders.map((loader) => new PortDuplex(command, [...args, ...loader.args], loader.options));
  const inputs = started.map((loader) => loader.fds[3] ?? loader);
  for (const input of inputs) input.write('half of the rows\n');
  await Promise.all(started.map((loader) => once(loader, 'readable')));
  parentPort!.postMessage(started.map(({ pid }) => pid));
  if (way === 'ends well') {
    for (const loader of started) loader.resume().end();
    for (const input of inputs) input.end();
  }
  await Promise.all(started.map(({ exited }) => exited));
}

async function main(): Promise<void> {
  const [way = '', command = '', ...args] = process.argv.slice(2);
  const loaders = JSON.parse(process.env['LOADERS'] ?? '[]') as Loader[];
  const job: Job = { way, command, args, loaders };
  const worker = new Worker(__filename, { workerData: job });
  const [pids] = (await once(worker, 'message')) as [number[]];
  process.stdout.write(`${JSON.stringify(pids)}\n`);
  if (way === 'terminate') await worker.terminate();
  if (way === 'process.exit') process.exit(7);
  await once(worker, 'exit');
}

void (isMainThread ? main() : load(workerData as Job));
