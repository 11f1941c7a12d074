import { createRequire } from 'node:module';
import { expect } from 'chai';
import { exitHook } from '../../lib/process/exit-hook';
import { closed, spawnChild } from '../support/children';
import { stressed } from '../support/stress';

const events = ['exit', 'SIGINT', 'SIGTERM', 'SIGHUP'];

/** By how many listeners each event has more than before. */
function counter(): () => number[] {
  const before = events.map((event) => process.listenerCount(event));
  return () => events.map((event, index) => process.listenerCount(event) - before[index]!);
}

/** Loads a module anew, as a second copy of the package would be. */
function secondCopy<T>(id: string): T {
  const file = require.resolve(id);
  const first = require.cache[file];
  delete require.cache[file];
  try {
    return createRequire(__filename)(file) as T;
  } finally {
    require.cache[file] = first;
  }
}

describe('the exit hook', () => {
  it('listens once to each event however many children live, and not at all when none does', async () => {
    const more = counter();
    const children = Array.from({ length: stressed(20, 12) }, () => spawnChild('cat'));
    expect(more()).to.deep.equal([1, 1, 1, 1]);
    const last = children.pop()!;
    for (const child of children) child.stdin!.end();
    await Promise.all(children.map(closed));
    expect(more()).to.deep.equal([1, 1, 1, 1]);
    last.stdin!.end();
    await closed(last);
    expect(more()).to.deep.equal([0, 0, 0, 0]);
  });

  it('is there again with the next child', async () => {
    const more = counter();
    for (let round = 0; round < 3; round += 1) {
      const child = spawnChild('cat');
      expect(more()).to.deep.equal([1, 1, 1, 1]);
      child.stdin!.end();
      await closed(child);
      expect(more()).to.deep.equal([0, 0, 0, 0]);
    }
  });

  it('is one for all copies of the package in a process', async () => {
    const copy = secondCopy<{ exitHook: typeof exitHook }>('../../lib/process/exit-hook');
    expect(copy.exitHook).to.equal(exitHook);
  });

  it('ends the children at the exit: politely, and by SIGKILL those that do not go', async () => {
    const asked: Record<string, string[]> = { polite: [], deaf: [] };
    const gone = {
      pid: 2 ** 22 + 1,
      killSignal: 'SIGINT',
      kill: (signal: string) => !!asked['polite']!.push(signal),
    } as const;
    const deaf = {
      pid: process.pid,
      killSignal: 'SIGTERM',
      kill: (signal: string) => !!asked['deaf']!.push(signal),
    } as const;
    exitHook.add(gone);
    exitHook.add(deaf);
    const onExit = process.listeners('exit').at(-1)!;
    const startedAt = performance.now();
    onExit(0);
    expect(performance.now() - startedAt).to.be.within(95, 1000);
    exitHook.delete(gone);
    exitHook.delete(deaf);
    expect(asked).to.deep.equal({ polite: ['SIGINT', 'SIGKILL'], deaf: ['SIGTERM', 'SIGKILL'] });
  });
});
