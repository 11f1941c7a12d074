/** How long a child may take to start, and how to have it started before it is needed. */
import { once, type EventEmitter } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import { Port, PortPool, type PortOptions } from '../../../lib';
import { Children, tallyOf } from '../../support/port-edges';
import { ask, obeyAll, obeys } from '../../support/ports';
import { sideBySide } from '../../support/side-by-side';
import { rejection, sh } from '../../support/streams';

const it = sideBySide();

const CLOSED = 'ERR_REXPORT_CLOSED';
const BROKEN = 'ERR_REXPORT_BROKEN';

describe('a child that takes longer to start than the deadline of its requests', () => {
  /** A program whose import ends when the file is there. */
  function slowStart(options: PortOptions): { port: Port; go: () => void; stop: () => void; remove: () => void } {
    const directory = mkdtempSync(path.join(tmpdir(), 'port-'));
    const file = path.join(directory, 'go');
    return {
      port: new Port(...sh(`until [ -e ${file} ]; do sleep 0.02; done; exec cat`), {
        killTree: true,
        closeTimeoutMs: 50,
        ...options,
      }),
      go: () => writeFileSync(file, ''),
      stop: () => rmSync(file),
      remove: () => rmSync(directory, { recursive: true }),
    };
  }

  for (const maxInFlight of [1, 4]) {
    it(`is not ended for that, and serves the requests that come later: ${maxInFlight} in flight`, async () => {
      const { port: made, go, remove } = slowStart({ requestTimeoutMs: 60, maxInFlight });
      await using port = made;
      const children = new Children(port);
      await port.start();
      const tally: Record<string, number> = {};
      for (let round = 0; round < 8; round += 1) {
        for (const [end, count] of Object.entries(await tallyOf([port.request('a'), port.request('b')]))) {
          tally[end] = (tally[end] ?? 0) + count;
        }
      }
      expect(Object.keys(tally)).to.include('TIMEOUT start');
      expect(Object.keys(tally).filter((end) => !['TIMEOUT start', 'TIMEOUT queue'].includes(end))).to.deep.equal([]);
      expect([children.started, port.restarts]).to.deep.equal([1, 0]);
      go();
      expect(await ask(port, 'c', { timeoutMs: 10_000 })).to.equal('c');
      expect([children.started, port.restarts]).to.deep.equal([1, 0]);
      remove();
    });
  }

  it('the error says that it has never answered, and does not blame its output', async () => {
    const { port: made, remove } = slowStart({ requestTimeoutMs: 80 });
    await using port = made;
    await port.start();
    const error = await rejection(port.request('a'));
    expect(error).to.include({ code: 'ERR_REXPORT_TIMEOUT', phase: 'start', timeoutMs: 80, limit: 'timeoutMs' });
    expect(error.message).to.match(/never answered/);
    expect(error.message).to.not.match(/stdio|flush/);
    remove();
  });

  it('each child in its turn: a replacement that starts slowly is not ended either', async () => {
    const { port: made, go, stop, remove } = slowStart({});
    await using port = made;
    go();
    await ask(port, 'a');
    stop();
    const children = new Children(port);
    port.restart();
    await once(port as EventEmitter, 'spawn');
    for (let round = 0; round < 4; round += 1) {
      const [end] = Object.keys(await tallyOf([port.request('b', { timeoutMs: 60 })]));
      expect(end).to.be.oneOf(['TIMEOUT start', 'TIMEOUT queue']);
    }
    go();
    expect(await ask(port, 'c')).to.equal('c');
    expect(children.started).to.equal(1);
    remove();
  });
});

describe('startTimeoutMs', () => {
  it('ends a child that never answers: its request fails in the phase `start`, and the next child is started', async () => {
    await using port = new Port('sleep', ['30'], { closeTimeoutMs: 50, startTimeoutMs: 150 });
    const children = new Children(port);
    for (let round = 1; round <= 2; round += 1) {
      const error = await rejection(port.request('a'));
      expect(error).to.include({
        code: 'ERR_REXPORT_TIMEOUT',
        phase: 'start',
        limit: 'startTimeoutMs',
        timeoutMs: 150,
      });
      expect(children.started).to.be.within(round, round + 1);
    }
  });

  it('does not end a child that was never asked, and gives it its time from its first request on', async () => {
    await using port = new Port(...sh('head -c 5 >/dev/null; sleep 0.1; printf "\\0\\0\\0\\1A"; exec cat'), {
      startTimeoutMs: 400,
    });
    const children = new Children(port);
    await port.start();
    await delay(600);
    expect(await ask(port, 'x')).to.equal('A');
    expect([children.started, port.restarts]).to.deep.equal([1, 0]);
  });

  it('is over with the first reply: a later one may take longer', async () => {
    await using port = obeys({ startTimeoutMs: 300 });
    // a slow interpreter on a busy machine is not what this is about
    while ((await tallyOf([port.request('echo warm')]))['reply'] !== 1);
    const { restarts } = port;
    expect(await ask(port, 'slowly 500 a')).to.equal('a');
    expect(port.restarts).to.equal(restarts);
  });

  it('does not count for requests that were given up before', async () => {
    await using port = new Port('sleep', ['30'], { closeTimeoutMs: 50, startTimeoutMs: 300 });
    const children = new Children(port);
    await port.start();
    expect(await rejection(port.request('a', { timeoutMs: 50 }))).to.include({ phase: 'start', limit: 'timeoutMs' });
    // the child is ended all the same when it has not answered in that time, and one request more may say so
    const error = await rejection(port.request('b'));
    expect(error).to.include({ code: 'ERR_REXPORT_TIMEOUT', limit: 'startTimeoutMs' });
    expect(children.started).to.be.at.most(3);
  });

  it('rejects an aborted signal’s request as ever', async () => {
    await using port = new Port('sleep', ['30'], { closeTimeoutMs: 50, startTimeoutMs: 30_000 });
    const error = await rejection(port.request('a', { signal: AbortSignal.timeout(50) }));
    expect(error.name).to.equal('AbortError');
  });
});

describe('start()', () => {
  it('resolves when the child is up; the first request finds it', async () => {
    await using port = obeys();
    const children = new Children(port);
    await port.start();
    expect([port.state, children.started]).to.deep.equal(['ready', 1]);
    expect(await ask(port, 'pid')).to.equal(String(children.pids[0]));
    expect(children.started).to.equal(1);
  });

  it('of a pool resolves when `minSize` children are up, and not more', async () => {
    await using pool = obeyAll({ size: 5, minSize: 3 });
    const children = new Children(pool);
    await pool.start();
    expect(children.started).to.equal(3);
    expect(pool.statistics().lanes.filter(({ state }) => state === 'ready')).to.have.length(3);
  });

  it('of a pool leaves these children there, though they have nothing to do', async () => {
    await using pool = obeyAll({ size: 3, minSize: 2, idleTimeoutMs: 40 });
    const children = new Children(pool);
    await pool.start();
    await delay(300);
    expect(children.alive).to.have.length(2);
    expect(children.started).to.equal(2);
  });

  it('may be called twice, and again when the child is up: it is the same child', async () => {
    await using port = obeys();
    const children = new Children(port);
    await Promise.all([port.start(), port.start(), ask(port, 'echo a')]);
    await port.start();
    expect(children.started).to.equal(1);
  });

  it('starts what has left meanwhile', async () => {
    await using pool = obeyAll({ size: 2, idleTimeoutMs: 20 });
    const children = new Children(pool);
    await pool.start();
    while (pool.state !== 'idle') await once(pool as EventEmitter, 'exit');
    await pool.start();
    expect(pool.state).to.equal('ready');
    expect(children.started).to.equal(2);
  });

  for (const [name, make] of [
    ['Port', () => new Port('no-such-program')],
    ['PortPool', () => new PortPool('no-such-program', { size: 3, minSize: 3 })],
  ] as const) {
    it(`of a ${name} rejects with BROKEN when the program is missing, and again`, async () => {
      await using port = make();
      for (let round = 0; round < 2; round += 1) {
        const error = await rejection(port.start());
        expect(error.code).to.equal(BROKEN);
        expect(error.cause).to.include({ code: 'ERR_REXPORT_SPAWN' });
      }
    });
  }

  it('rejects with CLOSED after close() and destroy(), and when it is overtaken by them', async () => {
    for (const end of ['close', 'destroy'] as const) {
      const port = obeys();
      const overtaken = rejection(port.start());
      const ending = port[end]();
      const late = rejection(port.start());
      expect([(await overtaken).code, (await late).code]).to.deep.equal([CLOSED, CLOSED]);
      await ending;
      expect((await rejection(port.start())).code).to.equal(CLOSED);
    }
  });

  it('rejects with the error that the port was destroyed with, or says that it is closed', async () => {
    const port = obeys();
    const reason = new Error('enough');
    const overtaken = rejection(port.start());
    await port.destroy(reason);
    expect([reason.message, 'ERR_REXPORT_CLOSED']).to.include((await overtaken).code ?? (await overtaken).message);
  });

  it('waits for the restart of a child that dies at once, and heals nothing that is broken', async () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'port-'));
    await using port = new Port(...sh(`mkdir ${directory}/once 2>/dev/null && exit 1; exec cat`), {
      backoff: { minMs: 20, maxMs: 20 },
    });
    await port.start();
    // the first child may have been up for a moment: a request may be given to it
    while ((await tallyOf([port.request('a')]))['reply'] !== 1);
    rmSync(directory, { recursive: true });
    await using broken = new Port('false', { maxRestarts: 0 });
    broken.restart();
    await once(broken as EventEmitter, 'broken');
    expect((await rejection(broken.start())).code).to.equal(BROKEN);
    expect(broken.state).to.equal('broken');
  });
});
