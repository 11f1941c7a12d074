/** What a port promises in passing: each of these was once broken in a trial, and nothing else noticed. */
import { once, type EventEmitter } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import { Port, PortPool } from '../../../lib';
import { Children } from '../../support/port-edges';
import { ask, obeys, program } from '../../support/ports';
import { sideBySide } from '../../support/side-by-side';
import { rejection, sh } from '../../support/streams';
import { stressed } from '../../support/stress';

const it = sideBySide();

describe('a child that leaves, in a lane', () => {
  it('is the only one: an idle child stays until the one before it is gone', async () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'port-'));
    // leaves only when the file is there
    const script = `cat; until [ -e ${directory}/go ]; do sleep 0.02; done`;
    await using pool = new PortPool(...sh(script), { size: 1, idleTimeoutMs: 20, closeTimeoutMs: 20_000 });
    const children = new Children(pool);
    await pool.request('a');
    pool.restart();
    while (children.started < 2) await once(pool as EventEmitter, 'spawn');
    // long enough for the second to be found idle several times
    await delay(200);
    expect(String(await pool.request('b'))).to.equal('b');
    expect([children.started, children.alive.length, pool.restarts]).to.deep.equal([2, 2, 1]);
    writeFileSync(`${directory}/go`, '');
    while (children.alive.includes(children.pids[0]!)) await once(pool as EventEmitter, 'exit');
    while (pool.state !== 'idle') await once(pool as EventEmitter, 'exit');
    await pool.close();
    expect(children.alive).to.deep.equal([]);
    rmSync(directory, { recursive: true });
  });
});

describe('planned replacement of a pool', () => {
  it('waits while no other child has shown that it answers, though the lane is long overdue', async () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'port-'));
    // those that are started from now on answer when the file `go` is there
    const script = `[ -e ${directory}/slow ] && until [ -e ${directory}/go ]; do sleep 0.02; done; exec perl "$0"`;
    await using pool = new PortPool('sh', ['-c', script, program('obeys.pl')], {
      size: 2,
      maxRequests: 10,
      minUptimeMs: 600_000,
    });
    const restarted: number[] = [];
    pool.on('restart', ({ lane }) => restarted.push(lane));
    const pair = (): Promise<unknown> => Promise.all(['slowly 5 a', 'slowly 5 b'].map((message) => ask(pool, message)));
    for (let n = 0; n < 3; n += 1) await pair();
    writeFileSync(`${directory}/slow`, '');
    const waiting: Promise<unknown>[] = [];
    const spawns: number[] = [];
    pool.on('spawn', ({ lane }) => spawns.push(lane));
    while (restarted.length === 0) await ask(pool, 'echo x');
    const [first] = restarted;
    // until then the one before goes on answering
    if (!spawns.includes(first!)) await once(pool as EventEmitter, 'spawn');
    expect(spawns).to.deep.equal([first]);
    // one request sits with the slow child; all the others go through the other lane, far beyond twice its limit
    let answered = 0;
    while (answered < 60) {
      const reply = ask(pool, 'echo y').then(() => (answered += 1));
      waiting.push(reply);
      await Promise.race([reply, delay(100)]);
    }
    const other = pool.statistics().lanes.find(({ lane }) => lane !== first);
    expect(other?.requests).to.be.above(30);
    expect(restarted, 'of the only child that answers').to.deep.equal([first]);
    writeFileSync(`${directory}/go`, '');
    await Promise.all(waiting);
    for (let n = 0; n < 20; n += 1) await pair();
    expect(restarted).to.include(1 - first!);
    rmSync(directory, { recursive: true });
  });
});

describe('a replacement that cannot be started', () => {
  it('is tried again after a backoff, and not at each request beyond maxRequests', async () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'port-'));
    await using port = new Port('cat', {
      cwd: directory,
      maxRequests: 3,
      maxRestarts: 50,
      backoff: { minMs: 2 ** 31 - 1, maxMs: 2 ** 31 - 1 },
    });
    const children = new Children(port);
    let restarts = 0;
    port.on('restart', () => (restarts += 1));
    await port.request('a');
    rmSync(directory, { recursive: true });
    for (let n = 0; n < 40; n += 1) expect(String(await port.request(String(n)))).to.equal(String(n));
    expect([restarts, children.started, port.state]).to.deep.equal([1, 1, 'ready']);
  });
});

describe('statistics()', () => {
  it('a request that was handed back is in no hand: an idle lane is not busy', async () => {
    await using port = obeys({ maxInFlight: 4, backoff: { minMs: 1, maxMs: 2 } });
    await ask(port, 'echo warm');
    // the first dies; those behind it go back to the queue, and to the next child one after another
    const requests = ['exit 1', 'echo a', 'echo b', 'echo c'].map((message) =>
      port.request(message, { idempotent: true }),
    );
    await Promise.allSettled(requests);
    const { busyMs: before } = port.statistics();
    await delay(60);
    expect(port.statistics().busyMs).to.equal(before);
  });

  it('nor one that an aborted or a late request has left', async () => {
    await using port = obeys({ maxInFlight: 4 });
    await ask(port, 'echo warm');
    const control = new AbortController();
    const requests = [port.request('slowly 30 a', { signal: control.signal }), port.request('echo b')];
    await delay(10);
    control.abort();
    await Promise.allSettled([...requests, rejection(port.request('never', { timeoutMs: 60 }))]);
    const { busyMs: before } = port.statistics();
    await delay(60);
    expect(port.statistics().busyMs).to.equal(before);
  });

  // alone: it measures
  specify('of many requests, of which some are timed, gives the mean and the percentiles of all', async () => {
    const COUNT = stressed(60_000, 10_000);
    await using port = new Port('cat', { maxInFlight: 16 });
    await port.request('warm');
    // all are asked at once and answered one after another: how long one waits grows with its number
    const startedAt = performance.now();
    await Promise.all(Array.from({ length: COUNT }, () => port.request('x')));
    const tookMs = performance.now() - startedAt;
    const { queueWaitMs } = port.statistics();
    // the first 2,000 are all timed: without their weights the mean would be a tenth of the time
    expect(queueWaitMs.mean).to.be.within(tookMs * 0.25, tookMs * 0.95);
    expect(queueWaitMs.p50).to.be.within(tookMs * 0.25, tookMs * 0.95);
    expect(queueWaitMs.p99).to.be.above(queueWaitMs.p50);
  });
});

describe('a child’s last words', () => {
  it('stderr that comes after the exit is in the error of the request', async () => {
    // a descendant that holds stderr writes to it after the child is gone
    const script = 'head -c 5 >/dev/null; (sleep 0.05; echo late words >&2) & exit 3';
    await using port = new Port(...sh(script), { orphanGraceMs: 2000, maxRestarts: 0 });
    const error = await rejection(port.request('a'));
    expect(error).to.include({ code: 'ERR_REXPORT_EXIT', exitCode: 3, stderrTail: 'late words\n' });
  });
});
