import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import { Port } from '../../lib/port/port';
import type { BrokenError } from '../../lib/port/port-errors';
import { ask, isAlive, obeyAll, obeys, watch } from '../support/ports';
import { until } from '../support/processes';
import { rejection, sh } from '../support/streams';
import { stressed } from '../support/stress';

const QUICK = { minMs: 1, maxMs: 2 };

function count(seen: readonly string[], what: string): number {
  return seen.filter((line) => line.startsWith(what)).length;
}

describe('Port: planned replacement', () => {
  it('after maxRequests: each is answered, by a child that was given no more than that and was up in time', async () => {
    await using port = obeys({ maxRequests: 10, maxRestarts: 0 });
    const seen = watch(port);
    const pids = new Map<string, number>();
    // on a busy machine the next child may take longer than that to come up
    for (let i = 0; i < 45 || pids.size < 2; i += 1) {
      const pid = await ask(port, 'pid');
      pids.set(pid, (pids.get(pid) ?? 0) + 1);
    }
    expect(pids.size).to.be.above(1);
    expect(count(seen, 'restart')).to.equal(port.restarts).and.to.be.above(0);
    expect(seen).to.not.include('broken');
    expect(seen.slice(0, 3)).to.deep.equal(['spawn 1', 'restart 2', 'spawn 2']);
  });

  it('has the next one up before the old one gets no more', async () => {
    await using port = obeys({ maxRequests: 1 });
    const seen = watch(port);
    const pids = new Set<string>();
    // the first child answers all of a round where the second takes longer than that to come up
    while (pids.size < 2) {
      for (const pid of await Promise.all(Array.from({ length: 20 }, () => ask(port, 'pid')))) pids.add(pid);
    }
    while (!seen.includes('exit 1')) await once(port, 'exit');
    expect(seen.indexOf('spawn 2')).to.be.below(seen.indexOf('exit 1'));
  });

  it('lets the old one finish, and gives what it had not begun to the next, in order', async () => {
    await using port = obeys({ maxInFlight: 4 });
    const seen = watch(port);
    await ask(port, 'echo warm');
    const order: string[] = [];
    const requests = ['slowly 150 a', 'echo b', 'echo c', 'echo d', 'echo e', 'echo f'].map(async (message) => {
      const reply = await ask(port, message);
      order.push(reply);
      return reply;
    });
    port.restart();
    expect(await Promise.all(requests)).to.deep.equal(['a', 'b', 'c', 'd', 'e', 'f']);
    expect(order.filter((text) => 'abcd'.includes(text))).to.deep.equal(['a', 'b', 'c', 'd']);
    expect(seen.slice(0, 3)).to.deep.equal(['spawn 1', 'restart 2', 'spawn 2']);
    while (!seen.includes('exit 1')) await once(port, 'exit');
  });

  it('has the old one leave at the end of its input, without a signal', async () => {
    await using port = new Port(...sh('cat; exit 4'));
    await ask(port, 'a');
    const exit = once(port, 'exit') as Promise<[{ generation: number }, object]>;
    port.restart();
    const [child, status] = await exit;
    expect(child.generation).to.equal(1);
    expect(status).to.include({ exitCode: 4, signal: null });
    expect(await ask(port, 'b')).to.equal('b');
  });

  it('ends an old one that does not leave, after closeTimeoutMs', async () => {
    await using port = new Port(...sh('cat; sleep 60'), { closeTimeoutMs: 80, killTree: true });
    await ask(port, 'a');
    const exit = once(port, 'exit') as Promise<[{ generation: number }, object]>;
    port.restart();
    const [child, status] = await exit;
    expect(child.generation).to.equal(1);
    expect(status).to.include({ signal: 'SIGTERM' });
  });

  it('by restart() while another is on its way out comes when that one is gone', async () => {
    await using port = new Port(...sh('cat; sleep 0.2'));
    const seen = watch(port);
    await ask(port, 'a');
    port.restart();
    await once(port, 'spawn');
    port.restart();
    port.restart();
    expect(count(seen, 'restart')).to.equal(1);
    while (!seen.includes('spawn 3')) await once(port, 'spawn');
    expect(seen.slice(0, 6)).to.deep.equal(['spawn 1', 'restart 2', 'spawn 2', 'exit 1', 'restart 3', 'spawn 3']);
    expect(await ask(port, 'b')).to.equal('b');
  });

  it('after maxAgeMs: also of an idle child, again and again', async () => {
    await using port = new Port('cat', { maxAgeMs: 60, maxRestarts: 0 });
    const seen = watch(port);
    await ask(port, 'a');
    while (!seen.includes('exit 2')) await once(port, 'exit');
    expect(seen).to.include('spawn 3');
    expect(await ask(port, 'b')).to.equal('b');
    expect(seen).to.not.include('broken');
  });

  it('after maxAgeMs: though the one before it takes longer than that to leave', async () => {
    await using port = new Port(...sh('cat; sleep 0.15'), { maxAgeMs: 40 });
    const seen = watch(port);
    await ask(port, 'a');
    while (!seen.includes('spawn 4')) await once(port, 'spawn');
    expect(seen.indexOf('exit 2')).to.be.below(seen.indexOf('spawn 4'));
  });

  it('is put off when the next one cannot be spawned; the present one stays', async () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'port-'));
    await using port = new Port('cat', { cwd: directory, maxRestarts: 0 });
    const seen = watch(port);
    let pid = 0;
    port.on('spawn', (child) => (pid = child.pid ?? 0));
    await ask(port, 'a');
    rmSync(directory, { recursive: true });
    port.restart();
    for (let i = 0; i < 20; i += 1) expect(await ask(port, String(i))).to.equal(String(i));
    expect(isAlive(pid)).to.equal(true);
    expect(seen.slice(0, 2)).to.deep.equal(['spawn 1', 'restart 2']);
    expect([count(seen, 'spawn'), port.state]).to.deep.equal([1, 'ready']);
  });

  it('is tried again, after a backoff, when the next one could not be spawned', async () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'port-'));
    await using port = new Port('cat', { cwd: directory, backoff: QUICK });
    const seen = watch(port);
    await ask(port, 'a');
    rmSync(directory, { recursive: true });
    port.restart();
    while (count(seen, 'restart') < 3) await once(port, 'restart');
    mkdirSync(directory);
    while (count(seen, 'spawn') < 2) await once(port, 'spawn');
    expect(await ask(port, 'b')).to.equal('b');
    rmSync(directory, { recursive: true });
  });

  it('that fails counts as a crash: when the present one dies too, the port is broken', async () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'port-'));
    await using port = new Port('cat', { cwd: directory, maxRestarts: 2, backoff: QUICK });
    const seen = watch(port);
    let pid = 0;
    port.on('spawn', (child) => (pid = child.pid ?? 0));
    await ask(port, 'a');
    rmSync(directory, { recursive: true });
    port.restart();
    while (count(seen, 'restart') < 3) await once(port, 'restart');
    const broken = once(port, 'broken') as Promise<[BrokenError]>;
    process.kill(pid, 'SIGKILL');
    const [error] = await broken;
    expect(error.cause).to.include({ code: 'ERR_REXPORT_EXIT', signal: 'SIGKILL' });
  });

  it('that fails is forgiven when the present one answers', async () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'port-'));
    await using port = new Port('cat', { cwd: directory, maxRestarts: 2, backoff: QUICK });
    const seen = watch(port);
    let pid = 0;
    port.on('spawn', (child) => (pid = child.pid ?? 0));
    await ask(port, 'a');
    rmSync(directory, { recursive: true });
    port.restart();
    while (count(seen, 'restart') < 3) await once(port, 'restart');
    expect(await ask(port, 'b')).to.equal('b');
    mkdirSync(directory);
    process.kill(pid, 'SIGKILL');
    while (!seen.includes('exit 1')) await once(port, 'exit');
    expect(await ask(port, 'c')).to.equal('c');
    expect(seen).to.not.include('broken');
    rmSync(directory, { recursive: true });
  });

  it('does not keep crashes from being counted: a program that dies of each request, though it is given only one', async () => {
    const script = 'head -c 5 >/dev/null; sleep 0.05; exit 9';
    await using port = new Port(...sh(script), { maxRequests: 1, maxRestarts: 2, backoff: QUICK });
    const codes: unknown[] = [];
    for (let round = 0; round < 4; round += 1) codes.push((await rejection(port.request('a'))).code);
    const EXIT = 'ERR_REXPORT_EXIT';
    expect(codes).to.deep.equal([EXIT, EXIT, EXIT, 'ERR_REXPORT_BROKEN']);
  });

  it('does not lose a request when the present one dies while the next is starting', async () => {
    await using port = obeys();
    const seen = watch(port);
    const pid = Number(await ask(port, 'pid'));
    process.kill(pid, 'SIGKILL');
    port.restart();
    while (!seen.includes('exit 1')) await once(port, 'exit');
    expect(await ask(port, 'echo a')).to.equal('a');
    expect(count(seen, 'spawn')).to.equal(2);
  });

  it('rejects what an old one held when the port is broken by then', async () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'port-'));
    const script = `mkdir ${directory}/once || exit 9; read -r line; while [ -d ${directory} ]; do sleep 0.02; done`;
    await using port = new Port(...sh(script), { restart: 'temporary' });
    const broken = once(port, 'broken');
    const held = rejection(port.request('\n', { idempotent: true }));
    // the next one must find the directory, and this one not
    await until(() => existsSync(`${directory}/once`), 10_000);
    port.restart();
    await broken;
    rmSync(directory, { recursive: true });
    expect((await held).code).to.equal('ERR_REXPORT_BROKEN');
    expect(port.pending).to.equal(0);
  });
});

describe('Port: planned replacement by memory', () => {
  before(function () {
    if (process.platform !== 'linux') this.skip(); // refused there, see the specs of the options
  });

  const MIB = 1024 * 1024;
  const hold = String(8 * MIB);

  it('a child that has grown above maxRssBytes is replaced, and every request is answered', async () => {
    await using port = obeys({ maxRssBytes: 48 * MIB, maxRestarts: 0 });
    const seen = watch(port);
    const pids = new Set<string>();
    while (pids.size < stressed(4, 3)) {
      pids.add(await ask(port, 'pid'));
      expect(await ask(port, `hold ${hold}`)).to.equal(hold);
    }
    expect(seen.slice(0, 4)).to.deep.equal(['spawn 1', 'restart 2', 'spawn 2', 'exit 1']);
    expect(seen).to.not.include('broken');
    expect(port.statistics()).to.include({ failures: 0 });
  });

  it('lets the old one finish what it has, as any planned replacement does', async () => {
    await using port = obeys({ maxRssBytes: 48 * MIB, maxInFlight: 4, maxRestarts: 0 });
    const seen = watch(port);
    const asked = ['hold 60000000', 'slowly 200 a', 'echo b', 'echo c', 'pid', 'pid'];
    const replies = await Promise.all(asked.map((message) => ask(port, message)));
    expect(replies.slice(0, 4)).to.deep.equal(['60000000', 'a', 'b', 'c']);
    while (!seen.includes('exit 1')) await once(port, 'exit');
    expect(seen.slice(0, 4)).to.deep.equal(['spawn 1', 'restart 2', 'spawn 2', 'exit 1']);
    expect(port.statistics()).to.include({ failures: 0 });
  });

  it('also of a child that has nothing to do since it has grown', async () => {
    await using port = obeys({ maxRssBytes: 48 * MIB });
    const seen = watch(port);
    await ask(port, 'echo small');
    await ask(port, 'hold 60000000');
    while (!seen.includes('exit 1')) await once(port, 'exit');
    expect(seen.slice(0, 4)).to.deep.equal(['spawn 1', 'restart 2', 'spawn 2', 'exit 1']);
  });

  it('a child below maxRssBytes stays', async () => {
    await using port = obeys({ maxRssBytes: 512 * MIB });
    const pids = new Set<string>();
    const endAt = performance.now() + 350;
    while (performance.now() < endAt) {
      pids.add(await ask(port, 'pid'));
      await delay(10);
    }
    expect([pids.size, port.restarts]).to.deep.equal([1, 0]);
  });

  it('waits for its backoff when the next one cannot be spawned, and comes when it can', async () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'port-'));
    await using port = obeys({ cwd: directory, maxRssBytes: 48 * MIB, backoff: { minMs: 50, maxMs: 50 } });
    const seen = watch(port);
    await ask(port, 'echo a');
    rmSync(directory, { recursive: true });
    await ask(port, 'hold 60000000');
    while (count(seen, 'restart') < 3) await ask(port, 'echo b');
    expect(count(seen, 'spawn')).to.equal(1);
    mkdirSync(directory);
    while (!seen.includes('exit 1')) await once(port, 'exit');
    expect(seen).to.not.include('broken');
    rmSync(directory, { recursive: true });
  });

  it('in a pool, of the lane alone whose child has grown', async () => {
    await using pool = obeyAll({ size: 3, minSize: 3, maxRssBytes: 48 * MIB });
    await pool.start();
    const seen = watch(pool);
    await ask(pool, 'echo a');
    await ask(pool, 'hold 60000000');
    while (!seen.includes('exit 1')) await once(pool, 'exit');
    expect(seen.slice(0, 3)).to.deep.equal(['restart 2', 'spawn 2', 'exit 1']);
    expect(pool.restarts).to.equal(1);
  });
});
