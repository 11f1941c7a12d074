import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { expect } from 'chai';
import { isAlive, survivors } from '../support/processes';
import { startProgram, type Ended, type Options } from '../support/programs';
import { stressed } from '../support/stress';

/** Of each parent; those of two copies of the package are half of each. */
const CHILDREN = stressed(20, 2);

interface Parent {
  readonly pids: readonly number[];
  readonly process: ReturnType<typeof startProgram>['process'];
  readonly ended: Promise<Ended>;
}

/** A parent whose children are up. */
async function parent(way: string, options?: Options): Promise<Parent> {
  const { process: child, ended } = startProgram('parent', [way, String(CHILDREN)], options);
  let said = '';
  while (!said.includes('\n')) said += String(await once(child.stdout as Readable, 'data'));
  const pids = JSON.parse(said) as number[];
  return { pids, process: child, ended };
}

/** How the parent ended, after a signal or by itself, and which of its children were still there a second later. */
async function leave(way: string, signal?: NodeJS.Signals, options?: Options): Promise<Ended & { left: number[] }> {
  const { pids, process: child, ended } = await parent(way, options);
  if (signal !== undefined) child.kill(signal);
  const end = await ended;
  const left = await survivors(pids, 1000);
  for (const pid of left) process.kill(pid, 'SIGKILL');
  return { ...end, left };
}

describe('a parent that leaves ends all its children within a second', () => {
  type Leaving = [title: string, args: Parameters<typeof leave>, end: Partial<Ended>];
  const noWord = { stderr: '' };
  const dies = (signal: NodeJS.Signals): Partial<Ended> => ({ code: null, signal, ...noWord });
  /** What others of the table do too: by an exit or a signal as well, with children that are harder to end, or more beside them. */
  const more: Leaving[] = [
    ['by SIGINT, and dies of it itself', ['wait', 'SIGINT'], dies('SIGINT')],
    ['by SIGTERM, and dies of it itself', ['wait', 'SIGTERM'], dies('SIGTERM')],
    ['by SIGHUP, and dies of it itself', ['wait', 'SIGHUP'], dies('SIGHUP')],
    ['by process.exit()', ['process.exit'], { code: 7, ...noWord }],
    ['by an unhandled rejection', ['reject'], { code: 1 }],
    ['by SIGKILL, those that read their input', ['wait with readers', 'SIGKILL'], { signal: 'SIGKILL' }],
    ['by SIGTERM beside execa that came first', ['execa first', 'SIGTERM'], { code: null, signal: 'SIGTERM' }],
    ['by SIGTERM beside execa that came last', ['execa last', 'SIGTERM'], { code: null, signal: 'SIGTERM' }],
  ];
  /** In small one parent has both. */
  const deafAndDescendants: Leaving[] = [
    ['though they ignore SIGTERM', ['wait with deaf children', 'SIGTERM'], dies('SIGTERM')],
    ['and their descendants, with killTree', ['wait with grandchildren', 'SIGINT'], dies('SIGINT')],
  ];
  const leavings: Leaving[] = [
    ['by its own end, its ports unref’ed', ['end with unref'], { code: 0, ...noWord }],
    ['by an uncaught exception', ['throw'], { code: 1 }],
    ...stressed(deafAndDescendants, [
      [
        'though they ignore SIGTERM, and their descendants, with killTree',
        ['wait with deaf children and grandchildren', 'SIGHUP'],
        dies('SIGHUP'),
      ] as Leaving,
    ]),
    [
      'by SIGTERM beside both generations of signal-exit',
      ['execa and an old signal-exit', 'SIGTERM'],
      { code: null, signal: 'SIGTERM' },
    ],
    ['by SIGTERM with two copies of the package in it', ['two copies', 'SIGTERM'], dies('SIGTERM')],
    [
      'by SIGTERM that a handler of its own has sent again',
      ['wait with a handler that goes on to leave', 'SIGTERM'],
      dies('SIGTERM'),
    ],
    [
      'politely, also when it has no descriptor left',
      ['no descriptor left', undefined, { prelude: 'ulimit -n 60' }],
      { code: 0, stderr: 'bye\n' },
    ],
    ...stressed(more, []),
  ];

  // all at the same time, each waits for its own
  const ends = new Map<string, ReturnType<typeof leave>>();
  before(() => {
    for (const [title, args] of leavings) ends.set(title, leave(...args));
    return Promise.allSettled(ends.values());
  });

  for (const [title, , expected] of leavings) {
    it(title, async () =>
      expect(await ends.get(title))
        .to.include(expected)
        .and.deep.include({ left: [] }),
    );
  }

  it('and says why, as it would without them', async () => {
    const words: [title: string, word: string][] = [
      ['by an uncaught exception', 'Error: uncaught'],
      ...stressed([['by an unhandled rejection', 'Error: unhandled'] as [string, string]], []),
    ];
    for (const [title, word] of words) expect((await ends.get(title))?.stderr).to.include(word);
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
    const { signal, stdout } = await ended;
    expect([signal, stdout.match(/handled/g)]).to.deep.equal(['SIGKILL', ['handled', 'handled']]);
    expect(await survivors(pids)).to.deep.equal([]);
  });
});
