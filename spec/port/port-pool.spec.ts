import { once, type EventEmitter } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import { expectTypeOf } from 'expect-type';
import {
  BrokenError,
  json,
  PortPool,
  TimeoutError,
  type Generation,
  type PortOptions,
  type PortPoolOptions,
  type PortStatistics,
  type RequestTransform,
} from '../../lib';
import { thrownBy } from '../support/frames';
import { ask, isAlive, obeyAll } from '../support/ports';
import { rejection, sh } from '../support/streams';
import { stressed } from '../support/stress';

/** What happens, with the lane: `spawn 0.1` is the first child of the first lane. */
function watchLanes(pool: PortPool): string[] {
  const seen: string[] = [];
  const name = ({ lane, generation }: { lane: number; generation: number }): string => `${lane}.${generation}`;
  pool.on('spawn', (child) => seen.push(`spawn ${name(child)}`));
  pool.on('exit', (child) => seen.push(`exit ${name(child)}`));
  pool.on('restart', (next) => seen.push(`restart ${name(next)}`));
  pool.on('lanebroken', (lane) => seen.push(`lanebroken ${lane}`));
  pool.on('broken', () => seen.push('broken'));
  return seen;
}

function states(pool: PortPool): string[] {
  return pool.statistics().lanes.map(({ state }) => state);
}

/** Has all children started, and gives their numbers. */
async function allUp(pool: PortPool): Promise<string[]> {
  const { length } = pool.statistics().lanes;
  const pids = new Set<string>();
  while (pids.size < length) {
    for (const pid of await Promise.all(Array.from({ length }, () => ask(pool, 'pid')))) pids.add(pid);
  }
  return [...pids];
}

describe('PortPool: growth', () => {
  it('starts nothing before the first request, and one child for ten in a row', async () => {
    await using pool = obeyAll({ size: 4 });
    await turn();
    expect(states(pool)).to.deep.equal(['idle', 'idle', 'idle', 'idle']);
    const pids = new Set<string>();
    for (let i = 0; i < 10; i += 1) pids.add(await ask(pool, 'pid'));
    expect(pids.size).to.equal(1);
    expect(states(pool)).to.deep.equal(['ready', 'idle', 'idle', 'idle']);
  });

  it('is as large as there are cores, where nothing is said', async () => {
    await using pool = new PortPool('cat');
    expect(pool.statistics().lanes).to.have.length(availableParallelism());
  });

  it('starts as many as are needed at once, and no more than `size`', async () => {
    await using pool = obeyAll({ size: 4 });
    await Promise.all(['slowly 50 a', 'slowly 50 b'].map((message) => ask(pool, message)));
    expect(states(pool)).to.deep.equal(['ready', 'ready', 'idle', 'idle']);
    await Promise.all(Array.from({ length: 20 }, () => ask(pool, 'slowly 20 x')));
    expect(states(pool)).to.deep.equal(['ready', 'ready', 'ready', 'ready']);
    expect(pool.restarts).to.equal(0);
  });

  it('starts another where a request would share a child, though it has room for it', async () => {
    await using pool = obeyAll({ size: 2, maxInFlight: 100 });
    const pids = await Promise.all(Array.from({ length: 40 }, () => ask(pool, 'pid')));
    expect(pids).to.have.length(40);
    const lanes = pool.statistics().lanes.filter(({ state }) => state !== 'idle');
    expect(lanes).to.have.length(2);
  });
});

describe('PortPool: who is asked', () => {
  it('is the ready child with the fewest in flight', async () => {
    await using pool = obeyAll({ size: 3, maxInFlight: 4 });
    await allUp(pool);
    const before = pool.statistics().lanes.map(({ requests }) => requests);
    await Promise.all(Array.from({ length: 9 }, () => ask(pool, 'slowly 20 x')));
    const after = pool.statistics().lanes.map(({ requests }) => requests);
    expect(after.map((requests, lane) => requests - (before[lane] ?? 0))).to.deep.equal([3, 3, 3]);
  });

  it('is not one that is busy for long, while others are free', async () => {
    await using pool = obeyAll({ size: 2 });
    await allUp(pool);
    const slow = ask(pool, 'slowly 600 slow');
    for (let i = 0; i < 20; i += 1) expect(await ask(pool, `echo ${i}`)).to.equal(String(i));
    expect(pool.pending).to.equal(1);
    expect(await slow).to.equal('slow');
  });

  it('gets its own replies: 2,000 requests, each with its own answer', async () => {
    await using pool = obeyAll({ size: 4, maxInFlight: 5 });
    const replies = await Promise.all(Array.from({ length: 2000 }, (_, n) => ask(pool, `echo row ${n}`)));
    expect(replies).to.deep.equal(Array.from({ length: 2000 }, (_, n) => `row ${n}`));
    expect(pool.pending + pool.queued).to.equal(0);
  });
});

describe('PortPool: the queue', () => {
  it('is bounded: the children’s room and `maxQueue` together', async () => {
    await using pool = obeyAll({ size: 2, maxInFlight: 2, maxQueue: 1 });
    const taken = Array.from({ length: 5 }, () => ask(pool, 'slowly 20 x'));
    expect(await rejection(ask(pool, 'echo one too many'))).to.include({ code: 'ERR_REXPORT_QUEUE_FULL', limit: 5 });
    expect(await Promise.all(taken)).to.have.length(5);
  });

  it('may be left by an abort or a deadline, which costs nobody anything', async () => {
    await using pool = obeyAll({ size: 2 });
    const pids = await allUp(pool);
    const slow = [ask(pool, 'slowly 200 a'), ask(pool, 'slowly 200 b')];
    const control = new AbortController();
    const left = [
      rejection(ask(pool, 'echo c', { signal: control.signal })),
      rejection(ask(pool, 'echo d', { timeoutMs: 20 })),
    ];
    expect(pool.queued).to.equal(2);
    control.abort();
    const [aborted, late] = await Promise.all(left);
    expect(aborted).to.include({ name: 'AbortError' });
    expect(late).to.be.instanceOf(TimeoutError).and.include({ phase: 'queue' });
    expect(pool.queued).to.equal(0);
    expect(await Promise.all(slow)).to.deep.equal(['a', 'b']);
    expect((await allUp(pool)).sort()).to.deep.equal(pids.sort());
    expect(pool.restarts).to.equal(0);
  });
});

describe('PortPool: a child that dies', () => {
  it('hurts its own requests only, and is replaced', async () => {
    await using pool = obeyAll({ size: 3 });
    await allUp(pool);
    const seen = watchLanes(pool);
    const slow = [ask(pool, 'slowly 100 a'), ask(pool, 'slowly 100 b')];
    const fatal = rejection(ask(pool, 'exit 3'));
    const waiting = Array.from({ length: 10 }, (_, n) => ask(pool, `echo ${n}`));
    expect(await fatal).to.include({ code: 'ERR_REXPORT_EXIT', exitCode: 3 });
    expect(await Promise.all([...slow, ...waiting])).to.deep.equal(['a', 'b', ...'0123456789']);
    expect(seen.filter((line) => !line.startsWith('spawn'))).to.deep.equal(['exit 2.1', 'restart 2.2']);
    expect(pool.restarts).to.equal(1);
  });

  it('between requests is replaced, and nobody notices', async () => {
    await using pool = obeyAll({ size: 2 });
    const pids = await allUp(pool);
    const seen = watchLanes(pool);
    for (const pid of pids) process.kill(Number(pid), 'SIGKILL');
    while (!seen.includes('exit 0.1') || !seen.includes('exit 1.1')) await once(pool as EventEmitter, 'exit');
    expect(await ask(pool, 'echo a')).to.equal('a');
    expect(await allUp(pool)).to.not.include.members(pids);
  });

  it('and waits for its restart keeps no request waiting: the others answer them', async () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'pool-'));
    // the second child of the program dies at once, whenever it is started; the first one echoes
    const script = `mkdir ${directory}/first 2>/dev/null && exec cat; exit 9`;
    await using pool = new PortPool(...sh(script), { size: 2, backoff: { minMs: 30_000, maxMs: 30_000 } });
    await ask(pool, 'warm');
    // one may be given to the second child before it dies
    await Promise.allSettled(Array.from({ length: 10 }, (_, n) => ask(pool, String(n))));
    while (!states(pool).includes('backoff')) await turn();
    expect(pool.state).to.equal('ready');
    const replies = await Promise.all(Array.from({ length: 50 }, (_, n) => ask(pool, String(n))));
    expect(replies).to.deep.equal(Array.from({ length: 50 }, (_, n) => String(n)));
    rmSync(directory, { recursive: true });
  });
});

describe('PortPool: a lane that breaks', () => {
  it('leaves the pool smaller and says so; the last one breaks the pool; restart() heals', async () => {
    await using pool = obeyAll({ size: 2, restart: 'temporary' });
    await allUp(pool);
    const seen = watchLanes(pool);
    const errors: BrokenError[] = [];
    pool.on('lanebroken', (_lane, error) => errors.push(error));
    await rejection(ask(pool, 'exit 3'));
    while (!seen.includes('lanebroken 0')) await turn();
    expect(states(pool)).to.deep.equal(['broken', 'ready']);
    expect(pool.state).to.equal('ready');
    expect(await ask(pool, 'echo still here')).to.equal('still here');

    const waiting = [ask(pool, 'exit 4'), ask(pool, 'echo too late')].map(rejection);
    const [fatal, late] = await Promise.all(waiting);
    expect(fatal).to.include({ code: 'ERR_REXPORT_EXIT', exitCode: 4 });
    expect(late).to.be.instanceOf(BrokenError);
    expect(seen).to.deep.equal(['exit 0.1', 'lanebroken 0', 'exit 1.1', 'lanebroken 1', 'broken']);
    expect(errors.map(({ cause }) => (cause as { exitCode?: number }).exitCode)).to.deep.equal([3, 4]);
    expect(pool.state).to.equal('broken');
    expect(await rejection(ask(pool, 'echo no'))).to.equal(errors[1]);

    pool.restart();
    expect(await ask(pool, 'echo healed')).to.equal('healed');
    expect(await allUp(pool)).to.have.length(2);
  });

  it('for want of the program breaks them all, at once, with the reason', async () => {
    await using pool = new PortPool('no-such-program', { size: 3 });
    const seen = watchLanes(pool);
    const errors = await Promise.all(Array.from({ length: 5 }, () => rejection(pool.request('x'))));
    for (const error of errors) {
      expect(error).to.be.instanceOf(BrokenError);
      expect(error.message).to.include('no-such-program');
    }
    expect(seen).to.have.members(['lanebroken 0', 'lanebroken 1', 'lanebroken 2', 'broken']);
    expect(seen.at(-1)).to.equal('broken');
  });
});

describe('PortPool: planned replacement', () => {
  const asked = stressed(10_000, 600);
  it(`of ${asked} requests none fails, with new children every 50, and never all are new at once`, async () => {
    // by its age alone no child is known to be well here: it must have answered
    await using pool = obeyAll({ size: 4, maxRequests: 50, minUptimeMs: 600_000, maxRestarts: 0 });
    const current: (string | undefined)[] = [];
    const answers = new Map<string, number>();
    const faults: string[] = [];
    let starts = 0;
    pool.on('spawn', ({ lane, pid }) => (current[lane] = String(pid)));
    pool.on('restart', ({ lane, cause }) => {
      if (cause !== undefined) faults.push(`lane ${lane} died: ${cause.message}`);
      starts += 1;
      const others = current.filter((_, other) => other !== lane);
      // the reply that made it this lane's turn reaches its caller in this turn of the event loop
      setImmediate(() => {
        const warm = others.filter((pid) => pid !== undefined && answers.has(pid));
        if (warm.length === 0) faults.push(`lane ${lane} was replaced while no other had answered yet`);
      });
    });
    pool.on('exit', ({ lane, pid }) => {
      if (current[lane] === String(pid)) faults.push(`lane ${lane} was left without a child`);
    });
    let left = asked;
    const caller = async (): Promise<void> => {
      while (left-- > 0) {
        const pid = await ask(pool, 'pid');
        answers.set(pid, (answers.get(pid) ?? 0) + 1);
      }
    };
    await Promise.all(Array.from({ length: 8 }, caller));
    const { requests, failures } = pool.statistics();
    await turn();
    expect(faults.slice(0, 5)).to.deep.equal([]);
    expect({ requests, failures }).to.deep.equal({ requests: asked, failures: 0 });
    expect(starts)
      .to.equal(pool.restarts)
      .and.to.be.above(asked / 200);
    pool.removeAllListeners('exit');
  });

  it('by restart(): one lane after another, each has its next child up before it loses its own', async () => {
    await using pool = obeyAll({ size: 3, minUptimeMs: 20 });
    const pids = await allUp(pool);
    const seen = watchLanes(pool);
    pool.restart();
    expect(seen).to.deep.equal(['restart 0.2']);
    while (seen.filter((line) => line.startsWith('exit')).length < 3) await once(pool as EventEmitter, 'exit');
    expect(seen.filter((line) => !line.startsWith('exit'))).to.deep.equal(
      [0, 1, 2].flatMap((lane) => [`restart ${lane}.2`, `spawn ${lane}.2`]),
    );
    for (const lane of [0, 1, 2]) {
      expect(seen.indexOf(`spawn ${lane}.2`)).to.be.below(seen.indexOf(`exit ${lane}.1`));
    }
    expect(await allUp(pool)).to.not.include.members(pids);
    for (const pid of pids) expect(isAlive(Number(pid))).to.equal(false);
  });

  it('by restart(lane): that lane alone, and no request is lost', async () => {
    await using pool = obeyAll({ size: 3, maxRestarts: 0 });
    await allUp(pool);
    const seen = watchLanes(pool);
    const replies = Array.from({ length: 300 }, (_, n) => ask(pool, `echo ${n}`));
    pool.restart(1);
    while (!seen.includes('exit 1.1')) await once(pool as EventEmitter, 'exit');
    expect(seen).to.deep.equal(['restart 1.2', 'spawn 1.2', 'exit 1.1']);
    expect(await Promise.all(replies)).to.deep.equal(Array.from({ length: 300 }, (_, n) => String(n)));
  });

  it('by restart(lane) heals that lane and no other, and starts its child where it has none', async () => {
    await using pool = obeyAll({ size: 3, minSize: 2, restart: 'temporary' });
    await pool.start();
    const seen = watchLanes(pool);
    const ends = [rejection(ask(pool, 'exit 3')), rejection(ask(pool, 'exit 4'))];
    await Promise.all(ends);
    while (seen.filter((line) => line.startsWith('lanebroken')).length < 2) await turn();
    expect(states(pool)).to.deep.equal(['broken', 'broken', 'idle']);
    pool.restart(1);
    expect(states(pool)).to.deep.equal(['broken', 'starting', 'idle']);
    pool.restart(2);
    expect(states(pool)).to.deep.equal(['broken', 'starting', 'starting']);
    expect(await ask(pool, 'echo healed')).to.equal('healed');
  });

  it('by restart(lane) heals a pool of which every lane is broken', async () => {
    await using pool = obeyAll({ size: 2, restart: 'temporary' });
    await allUp(pool);
    const broken = once(pool as EventEmitter, 'broken');
    await Promise.all([rejection(ask(pool, 'exit 3')), rejection(ask(pool, 'exit 4'))]);
    await broken;
    pool.restart(1);
    expect(await Promise.all(['echo a', 'echo b'].map((message) => ask(pool, message)))).to.deep.equal(['a', 'b']);
    expect(states(pool)).to.deep.equal(['broken', 'ready']);
  });

  it('by restart(lane) is refused for what is no lane of the pool', async () => {
    await using pool = obeyAll({ size: 2 });
    expect(thrownBy(() => pool.restart(2))).to.include({
      name: 'RangeError',
      message: 'expected `lane` to be an integer from 0 to 1, got 2',
    });
    expect(thrownBy(() => pool.restart('1' as never))).to.include({ name: 'TypeError' });
    expect(states(pool)).to.deep.equal(['idle', 'idle']);
  });

  it('by restart() starts one child where there is none', async () => {
    await using pool = obeyAll({ size: 3 });
    pool.restart();
    await once(pool as EventEmitter, 'spawn');
    expect(states(pool)).to.deep.equal(['ready', 'idle', 'idle']);
  });

  it('draws the limits of a pool’s children up to a fifth lower, so that they do not meet', async () => {
    await using pool = obeyAll({ size: 2, maxAgeMs: 400, minUptimeMs: 0 });
    const spawnedAt = new Map<number, number>();
    const ages: number[] = [];
    pool.on('spawn', ({ lane }) => spawnedAt.set(lane, performance.now()));
    pool.on('restart', ({ lane }) => ages.push(performance.now() - (spawnedAt.get(lane) ?? 0)));
    await allUp(pool);
    while (ages.length < 4) await once(pool as EventEmitter, 'restart');
    for (const age of ages) expect(age).to.be.above(400 * 0.8 - 5);
    expect(new Set(ages.map(Math.round)).size).to.be.above(1);
  });

  it('is not for a child that died and was replaced while it waited for its turn', async () => {
    await using pool = obeyAll({ size: 2, minUptimeMs: 60_000 });
    const pids = await allUp(pool);
    const seen = watchLanes(pool);
    pool.restart();
    expect(seen).to.deep.equal(['restart 0.2']);
    process.kill(Number(await pidOf(pool, 1, pids)), 'SIGKILL');
    while (!seen.includes('spawn 1.2')) await once(pool as EventEmitter, 'spawn');
    await allUp(pool);
    expect(seen.filter((line) => line.startsWith('restart'))).to.deep.equal(['restart 0.2', 'restart 1.2']);
  });
});

/** Which of these is the child of the lane. */
async function pidOf(pool: PortPool, lane: number, pids: readonly string[]): Promise<string> {
  for (const pid of pids) {
    const before = pool.statistics().lanes[lane]?.requests;
    const replies = await Promise.all(pids.map(() => ask(pool, 'pid')));
    if (replies[lane] === pid && before !== undefined) return pid;
  }
  throw new Error(`no child of lane ${lane} among ${pids.join()}`);
}

describe('PortPool: idle children', () => {
  it('leave after idleTimeoutMs, but for minSize, by the end of their input; the next need starts others', async () => {
    await using pool = obeyAll({ size: 4, minSize: 1, idleTimeoutMs: 100 });
    await allUp(pool);
    const exits: [Generation, object][] = [];
    pool.on('exit', (child, status) => exits.push([child, status]));
    const seen = watchLanes(pool);
    while (exits.length < 3) await once(pool as EventEmitter, 'exit');
    for (const [, status] of exits) expect(status).to.include({ exitCode: 0, signal: null });
    // the last ones first; but one that was asked a moment later than the others stays in their place
    const gone = exits.map(([{ lane }]) => lane).sort();
    expect(new Set(gone).size).to.equal(3);
    expect(states(pool).sort()).to.deep.equal(['idle', 'idle', 'idle', 'ready']);
    await allUp(pool);
    expect(seen).to.include.members(gone.map((lane) => `spawn ${lane}.2`));
    expect(pool.restarts).to.equal(0);
  });

  it('leave all of them with minSize 0, and no request fails for that', async () => {
    await using pool = obeyAll({ size: 2, idleTimeoutMs: 10 });
    for (let round = 0; round < stressed(5, 2); round += 1) {
      expect(await ask(pool, 'echo x')).to.equal('x');
      while (pool.state !== 'idle') await turn();
    }
    // and just as they leave
    for (let n = 0; n < stressed(40, 14); n += 1) {
      expect(await ask(pool, `echo ${n}`)).to.equal(String(n));
      await new Promise((resolve) => setTimeout(resolve, n % 14));
    }
  });

  it('stay while they have something to do', async () => {
    await using pool = obeyAll({ size: 2, idleTimeoutMs: 20 });
    const seen = watchLanes(pool);
    expect(await ask(pool, 'slowly 200 slow')).to.equal('slow');
    expect(seen).to.deep.equal(['spawn 0.1']);
  });
});

describe('PortPool: the end', () => {
  it('by close() finishes what was accepted and leaves no child', async () => {
    const pool = obeyAll({ size: 3 });
    const pids = await allUp(pool);
    const requests = Array.from({ length: 30 }, (_, n) => ask(pool, `slowly 5 ${n}`));
    const closed = pool.close();
    expect(pool.state).to.equal('closing');
    expect(await rejection(ask(pool, 'echo late'))).to.include({ code: 'ERR_REXPORT_CLOSED' });
    expect(await Promise.all(requests)).to.deep.equal(Array.from({ length: 30 }, (_, n) => String(n)));
    await closed;
    expect(pool.state).to.equal('closed');
    for (const pid of pids) expect(isAlive(Number(pid))).to.equal(false);
    expect(() => pool.restart())
      .to.throw()
      .with.property('code', 'ERR_REXPORT_CLOSED');
  });

  it('by destroy() rejects everything with the error itself', async () => {
    const pool = obeyAll({ size: 2 });
    const pids = await allUp(pool);
    const requests = Array.from({ length: 6 }, () => rejection(ask(pool, 'slowly 1000 x')));
    const reason = new Error('enough');
    await pool.destroy(reason);
    for (const error of await Promise.all(requests)) expect(error).to.equal(reason);
    for (const pid of pids) expect(isAlive(Number(pid))).to.equal(false);
  });

  it('by its signal, and by await using', async () => {
    const control = new AbortController();
    const pool = obeyAll({ size: 2, signal: control.signal });
    await allUp(pool);
    const request = rejection(ask(pool, 'slowly 1000 x'));
    control.abort();
    expect(await request).to.include({ name: 'AbortError' });
    await pool.close();
    let disposed: PortPool;
    {
      await using other = obeyAll({ size: 2 });
      disposed = other;
      await ask(other, 'echo a');
    }
    expect(disposed.state).to.equal('closed');
  });

  it('in the midst of planned replacement leaves nothing: no child, no timer', async () => {
    const marker = path.join(mkdtempSync(path.join(tmpdir(), 'pool-')), 'again');
    const script = `[ -e ${marker} ] && sleep 0.05; exec cat`;
    for (const end of ['close', 'destroy'] as const) {
      const pool = new PortPool(...sh(script), { size: 3, maxAgeMs: 5000, idleTimeoutMs: 5000, killTree: true });
      await Promise.all(Array.from({ length: 30 }, () => pool.request('x')));
      writeFileSync(marker, '');
      pool.restart();
      await pool[end]();
      rmSync(marker);
      expect(existsSync(marker)).to.equal(false);
    }
    rmSync(path.dirname(marker), { recursive: true });
  });
});

describe('PortPool: an end at the very beginning', () => {
  for (const end of ['close', 'destroy'] as const) {
    it(`by ${end}() while the first child starts leaves nothing: no child, no timer`, async () => {
      const pool = new PortPool('cat', { size: 2, idleTimeoutMs: 5000, maxAgeMs: 5000 });
      pool.restart();
      await pool[end]();
      expect(pool.state).to.equal('closed');
    });
  }
});

describe('PortPool: its types', () => {
  it('are those of its requests and replies, in calls and in a pipeline', () => {
    const pool = new PortPool<{ id: number }, { score: number }>('cat', { size: 2, ...json });
    expectTypeOf<typeof pool.request>().parameter(0).toEqualTypeOf<{ id: number }>();
    expectTypeOf<typeof pool.request>().returns.resolves.toEqualTypeOf<{ score: number }>();
    expectTypeOf(pool.transform()).toEqualTypeOf<RequestTransform<{ id: number }, { score: number }>>();
    expectTypeOf(pool.statistics()).toEqualTypeOf<PortStatistics>();
    expectTypeOf(pool[Symbol.asyncDispose]).returns.toEqualTypeOf<Promise<void>>();
    pool.on('lanebroken', (lane, error) => {
      expectTypeOf(lane).toEqualTypeOf<number>();
      expectTypeOf(error).toEqualTypeOf<BrokenError>();
    });
    expectTypeOf<PortPool['request']>().returns.resolves.toEqualTypeOf<Buffer>();
    expectTypeOf<PortPoolOptions>().toExtend<PortOptions>();
  });
});

describe('PortPool options', () => {
  const cases: [string, unknown[]][] = [
    ['size', [0, 1025, 1.5, NaN, '4', null]],
    ['minSize', [-1, 5, 0.5, '1', null]],
    ['idleTimeoutMs', [0, 2 ** 31, '5', null]],
  ];
  for (const [name, values] of cases) {
    it(`${name} is refused at once, with what was expected and what came`, () => {
      for (const value of values) {
        const error = thrownBy(() => new PortPool('cat', { size: 4, [name]: value })) as Error;
        expect(error, String(value)).to.satisfy((e: unknown) => e instanceof TypeError || e instanceof RangeError);
        expect(error.message).to.match(new RegExp(`^expected \`${name}\` to be an integer from \\d+ to \\d+, got `));
      }
    });
  }

  it('are those of a Port too, and an unknown one is refused', () => {
    expect(() => new PortPool('cat', { maxInFlight: 0 })).to.throw(RangeError, /maxInFlight/);
    expect(() => new PortPool('cat', [], { sise: 4 } as object))
      .to.throw(TypeError, /^expected the options of PortPool to be among /)
      .with.property('message')
      .that.includes('size, minSize, idleTimeoutMs, got `sise`');
  });
});
