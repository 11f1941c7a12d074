import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { BrokenError } from '../../lib/port/port-errors';
import { Port } from '../../lib/port/port';
import { ask, obeys, up, watch } from '../support/ports';
import { rejection, sh } from '../support/streams';
import { stressed } from '../support/stress';

const QUICK = { minMs: 1, maxMs: 2 };

describe('Port: a child that keeps dying', () => {
  it('breaks the port after maxRestarts in withinMs; all that wait fail with the last cause', async () => {
    await using port = new Port(...sh('echo no luck >&2; exit 9'), { maxRestarts: 3, backoff: QUICK });
    const seen = watch(port);
    const broken = once(port, 'broken') as Promise<[BrokenError]>;
    port.restart();
    await once(port, 'exit');
    const [error] = await broken;
    expect(error).to.include({ code: 'ERR_REXPORT_BROKEN', restarts: 3, withinMs: 30_000 });
    expect(error.message).to.match(/^sh was given up after 3 restarts in 30000 ms: sh exited with code 9 .*no luck$/s);
    expect(error.cause).to.include({ code: 'ERR_REXPORT_EXIT', exitCode: 9, stderrTail: 'no luck\n' });
    expect(seen.filter((line) => line.startsWith('spawn'))).to.have.length(4);
    expect(seen.at(-1)).to.equal('broken');
    expect([port.state, port.restarts]).to.deep.equal(['broken', 3]);
  });

  it('fails the requests of a broken port at once with that error, and spawns no more', async () => {
    await using port = new Port(...sh('exit 9'), { maxRestarts: 0 });
    const seen = watch(port);
    const exit = await rejection(port.request('a'));
    expect(exit).to.include({ exitCode: 9 });
    const errors = await Promise.all(['a', 'b'].map((message) => rejection(port.request(message))));
    for (const error of errors) expect(error).to.be.instanceOf(BrokenError).and.have.property('cause', exit);
    expect(errors[0]?.message).to.match(/^sh was not restarted: sh exited with code 9/);
    expect(seen).to.deep.equal(['spawn 1', 'exit 1', 'broken']);
    expect(port.pending).to.equal(0);
  });

  it('has requests that wait fail with it when the port breaks', async () => {
    await using port = new Port(...sh('sleep 0.1; exit 9'), { maxRestarts: 0 });
    const outcomes = ['a', 'b', 'c'].map((message) => rejection(port.request(message)));
    const errors = await Promise.all(outcomes);
    expect(errors.map(({ code }) => code)).to.deep.equal([
      'ERR_REXPORT_EXIT',
      'ERR_REXPORT_BROKEN',
      'ERR_REXPORT_BROKEN',
    ]);
  });

  it('is healed by restart()', async () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'port-'));
    await using port = new Port(...sh(`[ -d ${directory} ] && exit 9; exec cat`), { maxRestarts: 1, backoff: QUICK });
    port.restart();
    await once(port, 'broken');
    rmSync(directory, { recursive: true });
    expect((await rejection(port.request('a'))).code).to.equal('ERR_REXPORT_BROKEN');
    port.restart();
    expect(port.state).to.equal('starting');
    expect(await ask(port, 'b')).to.equal('b');
  });

  it('is not given up while it answers in between', async () => {
    await using port = obeys({ maxRestarts: 2, backoff: QUICK });
    const rounds = stressed(8, 4);
    for (let round = 0; round < rounds; round += 1) {
      expect((await rejection(port.request('exit 1'))).code).to.equal('ERR_REXPORT_EXIT');
      expect(await ask(port, `echo ${round}`)).to.equal(String(round));
    }
    expect(port.restarts).to.equal(rounds);
  });

  it('is given up when it answers nothing but the request it dies of', async () => {
    await using port = obeys({ maxRestarts: 2, backoff: QUICK });
    const codes = new Set<unknown>();
    for (let round = 0; round < 4; round += 1) codes.add((await rejection(port.request('exit 1'))).code);
    expect([...codes]).to.deep.equal(['ERR_REXPORT_EXIT', 'ERR_REXPORT_BROKEN']);
  });

  it('is restarted at once after a healthy life, else after a backoff', async () => {
    const delays: number[] = [];
    await using port = obeys({ maxRestarts: 9, backoff: { minMs: 64, maxMs: 100 }, minUptimeMs: 60_000 });
    port.on('restart', ({ delayMs }) => delays.push(delayMs));
    await ask(port, 'echo a');
    for (let round = 0; round < 4; round += 1) await rejection(port.request('exit 1'));
    expect(delays[0]).to.equal(0);
    // drawn from 0 on: one of them may be 0
    expect(Math.max(...delays.slice(1))).to.be.within(1, 100);
  });

  it('is restarted at once when it lived minUptimeMs', async () => {
    await using port = new Port(...sh('sleep 0.1; exit 1'), { minUptimeMs: 50 });
    const restart = once(port, 'restart') as Promise<[{ delayMs: number; cause: Error }]>;
    port.restart();
    const [{ delayMs, cause }] = await restart;
    expect([delayMs, (cause as { code?: string }).code]).to.deep.equal([0, 'ERR_REXPORT_EXIT']);
  });

  it('is started at once by restart() in a backoff', async () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'port-'));
    await using port = new Port(...sh(`[ -d ${directory} ] && exit 9; exec cat`), {
      backoff: { minMs: 60_000, maxMs: 60_000 },
    });
    port.restart();
    await once(port, 'restart');
    rmSync(directory, { recursive: true });
    const reply = ask(port, 'a');
    expect([port.state, port.queued]).to.deep.equal(['backoff', 1]);
    port.restart();
    expect(await reply).to.equal('a');
  });

  it('may be restarted by a listener, and is one child', async () => {
    const port = obeys({ backoff: QUICK });
    const seen = watch(port);
    port.on('restart', () => port.restart());
    await Promise.allSettled([port.request('exit 1'), port.request('echo a'), port.request('exit 1')]);
    await ask(port, 'echo b');
    await port.close();
    const spawned = seen.filter((line) => line.startsWith('spawn'));
    const exited = seen.filter((line) => line.startsWith('exit'));
    expect(exited).to.have.length(spawned.length);
    expect(spawned).to.have.length(3);
  });
});

describe('Port: a program that cannot be spawned', () => {
  const cases = [
    ['a missing program', () => new Port('no-such-program'), 'ENOENT'],
    ['a missing directory', () => new Port('cat', { cwd: '/no/such/directory' }), 'ENOENT'],
    ['a file that is no program', () => new Port(__filename), 'EACCES'],
  ] as const;
  for (const [what, make, errno] of cases) {
    it(`breaks the port at the first spawn: ${what}`, async () => {
      await using port = make();
      const seen = watch(port);
      const outcomes = ['a', 'b'].map((message) => rejection(port.request(message)));
      for (const error of await Promise.all(outcomes)) {
        expect(error.code).to.equal('ERR_REXPORT_BROKEN');
        expect(error.cause).to.include({ code: 'ERR_REXPORT_SPAWN' });
        expect((error.cause as Error).cause).to.include({ code: errno });
        expect(error.message).to.include((error.cause as Error).message);
      }
      expect(seen).to.deep.equal(['broken']);
      expect(port.restarts).to.equal(0);
    });
  }

  it('later counts as a crash: removed, then put back, it heals', async () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'port-'));
    const file = path.join(directory, 'program');
    const put = (): void => {
      writeFileSync(file, '#!/bin/sh\nexec cat\n');
      chmodSync(file, 0o755);
    };
    put();
    await using port = new Port(file, { backoff: { minMs: 20, maxMs: 40 }, maxRestarts: 100 });
    let pid: number | undefined;
    port.on('spawn', (child) => (pid = child.pid));
    expect(await ask(port, 'a')).to.equal('a');
    rmSync(file);
    const failures: unknown[] = [];
    port.on('restart', ({ cause }) => failures.push((cause as { code?: string }).code));
    process.kill(pid as number);
    await once(port, 'exit');
    const reply = ask(port, 'b');
    while (failures.length < 4) await once(port, 'restart');
    put();
    expect(await reply).to.equal('b');
    expect(failures.slice(1)).to.deep.equal(failures.slice(1).map(() => 'ERR_REXPORT_SPAWN'));
    rmSync(directory, { recursive: true });
  });

  it('later breaks the port in the end, like crashes do', async () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'port-'));
    const file = path.join(directory, 'program');
    writeFileSync(file, '#!/bin/sh\nexec cat\n');
    chmodSync(file, 0o755);
    await using port = new Port(file, { backoff: QUICK, maxRestarts: 3 });
    let pid: number | undefined;
    port.on('spawn', (child) => (pid = child.pid));
    await ask(port, 'a');
    rmSync(directory, { recursive: true });
    process.kill(pid as number);
    await once(port, 'exit');
    const error = await rejection(port.request('b'));
    expect(error).to.include({ code: 'ERR_REXPORT_BROKEN' });
    expect(error.cause).to.include({ code: 'ERR_REXPORT_SPAWN' });
  });
});

describe('Port: the type of restart', () => {
  it('temporary: never', async () => {
    for (const code of [0, 1]) {
      await using port = obeys({ restart: 'temporary' });
      const seen = watch(port);
      await ask(port, 'echo a');
      expect((await rejection(port.request(`exit ${code}`))).code).to.equal('ERR_REXPORT_EXIT');
      expect((await rejection(port.request('echo b'))).code).to.equal('ERR_REXPORT_BROKEN');
      expect(seen).to.deep.equal(['spawn 1', 'exit 1', 'broken']);
    }
  });

  it('transient: after a failure, not after a success', async () => {
    await using port = obeys({ restart: 'transient', successCodes: [0, 4] });
    await rejection(port.request('exit 1'));
    expect(await ask(port, 'echo a')).to.equal('a');
    await rejection(port.request('kill TERM'));
    expect(await ask(port, 'echo b')).to.equal('b');
    await rejection(port.request('exit 4'));
    expect((await rejection(port.request('echo c'))).code).to.equal('ERR_REXPORT_BROKEN');
    expect(port.restarts).to.equal(2);
  });

  it('permanent: after both', async () => {
    await using port = obeys();
    for (const code of [0, 1]) {
      await rejection(port.request(`exit ${code}`));
      expect(await ask(port, 'echo a')).to.equal('a');
    }
  });
});

describe('Port: events', () => {
  it('are told in order: of each generation restart, spawn, exit', async () => {
    const port = obeys({ backoff: QUICK });
    const seen = watch(port);
    for (let round = 0; round < 3; round += 1) await rejection(port.request('exit 1'));
    await ask(port, 'echo a');
    await port.close();
    expect(seen).to.deep.equal([
      ...['spawn 1', 'exit 1', 'restart 2'],
      ...['spawn 2', 'exit 2', 'restart 3'],
      ...['spawn 3', 'exit 3', 'restart 4'],
      ...['spawn 4', 'exit 4'],
    ]);
  });

  it('are told once of a child that we end, though its successor is up before it is gone', async () => {
    const script = 'trap "" TERM; read -r line && printf "\\0\\0\\0\\1A"; while :; do sleep 0.05; done';
    const port = new Port(...sh(script), { forceKillAfterMs: 500, closeTimeoutMs: 50 });
    const seen = watch(port);
    await ask(port, '\n');
    await rejection(port.request('a', { timeoutMs: 50 }));
    await up(port);
    expect(seen).to.deep.equal(['spawn 1', 'restart 2', 'spawn 2']);
    await port.close();
    expect([...seen].sort()).to.deep.equal(['exit 1', 'exit 2', 'restart 2', 'spawn 1', 'spawn 2']);
  });

  it('say how a child ended', async () => {
    await using port = obeys();
    const exit = once(port, 'exit') as Promise<[{ pid: number }, { exitCode: number; durationMs: number }]>;
    const pid = Number(await ask(port, 'pid'));
    await rejection(port.request('exit 6'));
    const [child, status] = await exit;
    expect(child).to.deep.equal({ lane: 0, generation: 1, pid });
    expect(status).to.include({ exitCode: 6, signal: null });
    expect(status.durationMs).to.be.above(0);
  });
});
