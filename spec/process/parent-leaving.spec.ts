import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { expect } from 'chai';
import { isAlive, survivors } from '../support/processes';
import { startProgram, type Ended, type Options } from '../support/programs';

interface Parent {
  readonly pids: readonly number[];
  readonly process: ReturnType<typeof startProgram>['process'];
  readonly ended: Promise<Ended>;
}

/** A parent whose children are up. */
async function parent(way: string, options?: Options): Promise<Parent> {
  const { process: child, ended } = startProgram('parent', [way], options);
  let said = '';
  while (!said.includes('\n')) said += String(await once(child.stdout as Readable, 'data'));
  const pids = JSON.parse(said) as number[];
  return { pids, process: child, ended };
}

describe('a parent that leaves ends all its children within a second', () => {
  /** How the parent ended, after a signal or by itself; fails when a child outlives it. */
  async function leave(way: string, signal?: NodeJS.Signals, options?: Options): Promise<Ended> {
    const { pids, process: child, ended } = await parent(way, options);
    if (signal !== undefined) child.kill(signal);
    const end = await ended;
    const left = await survivors(pids);
    for (const pid of left) process.kill(pid, 'SIGKILL');
    expect(left).to.deep.equal([]);
    return end;
  }

  it('by its own end, its ports unref’ed', async () => {
    expect(await leave('end with unref')).to.include({ code: 0, stderr: '' });
  });

  it('by process.exit()', async () => {
    expect(await leave('process.exit')).to.include({ code: 7, stderr: '' });
  });

  it('by an uncaught exception', async () => {
    const { code, stderr } = await leave('throw');
    expect(code).to.equal(1);
    expect(stderr).to.include('Error: uncaught');
  });

  it('by an unhandled rejection', async () => {
    const { code, stderr } = await leave('reject');
    expect(code).to.equal(1);
    expect(stderr).to.include('Error: unhandled');
  });

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    it(`by ${signal}, and dies of it itself`, async () => {
      expect(await leave('wait', signal)).to.include({ code: null, signal, stderr: '' });
    });
  }

  it('by SIGKILL, those that read their input', async () => {
    expect(await leave('wait with readers', 'SIGKILL')).to.include({ signal: 'SIGKILL' });
  });

  it('though they ignore SIGTERM', async () => {
    expect(await leave('wait with deaf children', 'SIGTERM')).to.include({ signal: 'SIGTERM' });
  });

  it('and their descendants, with killTree', async () => {
    expect(await leave('wait with grandchildren', 'SIGINT')).to.include({ signal: 'SIGINT' });
  });

  it('by SIGTERM beside execa, whichever came first', async () => {
    expect(await leave('execa first', 'SIGTERM')).to.include({ code: null, signal: 'SIGTERM' });
    expect(await leave('execa last', 'SIGTERM')).to.include({ code: null, signal: 'SIGTERM' });
  });

  it('by SIGTERM beside both generations of signal-exit', async () => {
    expect(await leave('execa and an old signal-exit', 'SIGTERM')).to.include({ code: null, signal: 'SIGTERM' });
  });

  it('by SIGTERM with two copies of the package in it', async () => {
    expect(await leave('two copies', 'SIGTERM')).to.include({ code: null, signal: 'SIGTERM' });
  });

  it('by SIGTERM that a handler of its own has sent again', async () => {
    expect(await leave('wait with a handler that goes on to leave', 'SIGTERM')).to.include({
      code: null,
      signal: 'SIGTERM',
    });
  });

  it('politely, also when it has no descriptor left', async () => {
    const { stderr } = await leave('no descriptor left', undefined, { prelude: 'ulimit -n 60' });
    expect(stderr).to.equal('bye\n');
  });
});

describe('a parent that handles SIGTERM itself', () => {
  it('keeps its children', async () => {
    const { pids, process: child, ended } = await parent('wait with a handler');
    child.kill('SIGTERM');
    await once(child.stdout as Readable, 'data');
    child.kill('SIGTERM');
    await once(child.stdout as Readable, 'data');
    expect(pids.filter(isAlive)).to.deep.equal(pids);
    child.kill('SIGKILL');
    expect(await ended).to.include({ signal: 'SIGKILL' });
    expect(await survivors(pids)).to.deep.equal([]);
  });
});
