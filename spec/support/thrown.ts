import { setImmediate as turn } from 'node:timers/promises';

/** What reached the process as an uncaught exception while `action` ran, and in the two turns after it. */
export async function thrownToProcess(action: () => Promise<void>): Promise<unknown[]> {
  // mocha's own would fail the spec
  const others = process.listeners('uncaughtException');
  const thrown: unknown[] = [];
  const listener = (error: unknown): void => void thrown.push(error);
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', listener);
  try {
    await action();
    await turn();
    await turn();
  } finally {
    process.removeListener('uncaughtException', listener);
    for (const other of others) process.on('uncaughtException', other);
  }
  return thrown;
}
