/**
 * A worker thread in which ports have lived, and descriptors that the main thread opened before that worker ended:
 * `worker-descriptors.js OPTIONS...`, of one port each. Prints as JSON how many of them are not there afterwards.
 */
import { once } from 'node:events';
import { closeSync, fstatSync, openSync } from 'node:fs';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { PortDuplex } from '../../lib/duplex/port-duplex';
import type { PortDuplexOptions } from '../../lib/duplex/port-duplex-options';

/** More than a port has, so that they take all the numbers that the ports had. */
const COUNT_OF_ONE = 50;

async function live(all: readonly PortDuplexOptions[]): Promise<void> {
  const ports = all.map((options) => new PortDuplex('cat', [], options).resume());
  for (const port of ports) port.end('a');
  await Promise.all(ports.map((port) => once(port, 'close')));
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
  const all = process.argv.slice(2).map((options) => JSON.parse(options) as PortDuplexOptions);
  const worker = new Worker(__filename, { workerData: all });
  await once(worker, 'message');
  const opened = Array.from({ length: all.length * COUNT_OF_ONE }, () => openSync('/dev/null', 'r'));
  worker.postMessage('end');
  await once(worker, 'exit');
  const there = opened.filter(isThere);
  console.log(JSON.stringify(opened.length - there.length));
  for (const fd of there) closeSync(fd);
}

void (isMainThread ? main() : live(workerData as readonly PortDuplexOptions[]));
