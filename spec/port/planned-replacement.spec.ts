import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import { Port } from '../../lib/port/port';
import { ask, isAlive, obeys, watch } from '../support/ports';
import { rejection, sh } from '../support/streams';

function count(seen: readonly string[], what: string): number {
  return seen.filter((line) => line.startsWith(what)).length;
}

describe('Port: planned replacement', () => {
  it('after maxRequests: each is answered, by a child that was given no more than that and was up in time', async () => {
    await using port = obeys({ maxRequests: 10, maxRestarts: 0 });
    const seen = watch(port);
    const pids = new Map<string, number>();
    for (let i = 0; i < 45; i += 1) {
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
    const pids = await Promise.all(Array.from({ length: 20 }, () => ask(port, 'pid')));
    expect(new Set(pids).size).to.be.above(1);
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
    expect(seen).to.deep.equal(['spawn 1', 'restart 2']);
    expect(port.state).to.equal('ready');
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
    // else the second child may be the first to make it
    while (!existsSync(path.join(directory, 'once'))) await turn();
    port.restart();
    await broken;
    rmSync(directory, { recursive: true });
    expect((await held).code).to.equal('ERR_REXPORT_BROKEN');
    expect(port.pending).to.equal(0);
  });
});
