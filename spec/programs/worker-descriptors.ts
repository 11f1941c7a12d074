/**
 * A worker thread in which a port has lived, and descriptors that the main thread opened before that worker ended:
 * `worker-descriptors.js OPTIONS`. Prints as JSON how many of them are not there afterwards.
 */
import { once } from 'node:events';
import { closeSync, fstatSync, openSync } from 'node:fs';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { PortDuplex, type PortDuplexOptions } from '../../lib/index';

/** More than a port has, so that they take all the numbers it had. */
const COUNT = 50;

async function live(options: PortDuplexOptions): Promise<void> {
  const port = new PortDuplex('cat', [], options).resume();
  port.end('a');
  await once(port, 'close');
  parentPort!.postMessage('over');
  await once(parentPort!, 'message');
  parentPort!.close();
}

function isThere(fd: number): boolean {
  try {
    fstatSync(fd);
    return true;
  } catch {
    return false;
  }
}

async function main(): Promise<void> {
  const worker = new Worker(__filename, { workerData: JSON.parse(process.argv[2] ?? '{}') as PortDuplexOptions });
  await once(worker, 'message');
  const opened = Array.from({ length: COUNT }, () => openSync('/dev/null', 'r'));
  worker.postMessage('end');
  await once(worker, 'exit');
  const there = opened.filter(isThere);
  console.log(JSON.stringify(COUNT - there.length));
  for (const fd of there) closeSync(fd);
}

void (isMainThread ? main() : live(workerData as PortDuplexOptions));
