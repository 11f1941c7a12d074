/** One child that hangs costs one child, however many requests wait behind it. Children are counted. */
import { once, type EventEmitter } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import { Port, type TimeoutError } from '../../../lib';
import { Children, tallyOf, type AnyPort } from '../../support/port-edges';
import { ask, obeyAll, obeys, program } from '../../support/ports';
import { until } from '../../support/processes';
import { sideBySide } from '../../support/side-by-side';
import { rejection } from '../../support/streams';
import { stressed } from '../../support/stress';

const it = sideBySide();

const REQUESTS = 60;

function hang(port: AnyPort, count: number, options: Parameters<Port['request']>[1]): Promise<Buffer>[] {
  return Array.from({ length: count }, () => port.request('never', options));
}

/** Every lane has a child that has answered. */
async function warmUp(port: AnyPort): Promise<void> {
  await port.start();
  const { lanes } = port.statistics();
  while (port.statistics().lanes.some(({ requests }) => requests === 0)) {
    await Promise.all(lanes.map(() => ask(port, 'slowly 5 warm')));
  }
}

/** The port still answers, and has started no more children than that. */
async function settledWith(port: AnyPort, children: Children, atMost: number): Promise<void> {
  expect(await ask(port, 'echo on')).to.equal('on');
  expect(children.started).to.be.at.most(atMost);
  expect(await until(() => children.alive.length <= port.statistics().lanes.length)).to.equal(true);
}

describe('a child that hangs, with requests behind it that have the same deadline', () => {
  it('is one child that is ended: one request waited for its header, the others in the queue, and one child is new', async () => {
    await using port = obeys();
    await warmUp(port);
    const children = new Children(port);
    const tally = await tallyOf(hang(port, REQUESTS, { timeoutMs: 100 }));
    expect(tally).to.deep.equal({ 'TIMEOUT header': 1, 'TIMEOUT queue': REQUESTS - 1 });
    await settledWith(port, children, 1);
  });

  it('the same when the deadline is the port’s', async () => {
    await using port = obeys({ requestTimeoutMs: 100 });
    await ask(port, 'echo warm', { timeoutMs: 10_000 });
    const children = new Children(port);
    const tally = await tallyOf(hang(port, REQUESTS, {}));
    expect(tally).to.deep.equal({ 'TIMEOUT header': 1, 'TIMEOUT queue': REQUESTS - 1 });
    expect(await ask(port, 'echo on', { timeoutMs: 10_000 })).to.equal('on');
    expect(children.started).to.equal(1);
  });

  // alone: it would stop the others
  specify('the same when this process was busy at the deadline, and all are due at once', async () => {
    await using port = obeys();
    await warmUp(port);
    const children = new Children(port);
    const requests = hang(port, 20, { timeoutMs: 50 }).concat(hang(port, 20, { timeoutMs: 60 }));
    requests.push(...hang(port, 20, { timeoutMs: 70 }));
    const busyUntil = performance.now() + 150;
    while (performance.now() < busyUntil);
    expect(await tallyOf(requests)).to.deep.equal({ 'TIMEOUT header': 1, 'TIMEOUT queue': REQUESTS - 1 });
    await settledWith(port, children, 1);
  });

  it('with eight in flight: no request has an EXIT for the fault of another, and one child is new', async () => {
    await using port = obeys({ maxInFlight: 8 });
    await warmUp(port);
    const children = new Children(port);
    const tally = await tallyOf(hang(port, REQUESTS, { timeoutMs: 100 }));
    expect(tally).to.deep.equal({ 'TIMEOUT header': 8, 'TIMEOUT queue': REQUESTS - 8 });
    await settledWith(port, children, 1);
  });

  // each lane has requests in flight and others behind them in the one queue
  for (const maxInFlight of stressed([1, 8], [8])) {
    it(`of a pool of four, ${maxInFlight} in flight: no EXIT, and at most four children are new`, async () => {
      await using pool = obeyAll({ size: 4, minSize: 4, maxInFlight });
      await warmUp(pool);
      const children = new Children(pool);
      const tally = await tallyOf(hang(pool, 4 * REQUESTS, { timeoutMs: 100 }));
      const hung = 4 * maxInFlight;
      expect(tally).to.deep.equal({ 'TIMEOUT header': hung, 'TIMEOUT queue': 4 * REQUESTS - hung });
      await settledWith(pool, children, 4);
    });
  }

  for (const maxInFlight of stressed([1, 8, 64], [8])) {
    it(`64 idempotent ones that time out together start at most two children: ${maxInFlight} in flight`, async () => {
      await using port = obeys({ maxInFlight });
      await warmUp(port);
      const children = new Children(port);
      const tally = await tallyOf(hang(port, 64, { timeoutMs: 100, idempotent: true }));
      expect(Object.keys(tally).every((end) => end.startsWith('TIMEOUT'))).to.equal(true);
      await settledWith(port, children, 2);
      expect(children.most).to.be.at.most(3);
    });
  }

  it('a request whose deadline is over is never given to a child', async () => {
    await using port = obeys();
    await warmUp(port);
    const { bytesWritten: before } = port.statistics();
    const first = port.request('slowly 100 a');
    const late = Array.from({ length: 20 }, () => port.request('echo too late', { timeoutMs: 30 }));
    expect(await tallyOf([first, ...late])).to.deep.equal({ reply: 1, 'TIMEOUT queue': 20 });
    await ask(port, 'echo on');
    const { bytesWritten } = port.statistics();
    expect(bytesWritten - before).to.equal(4 + 'slowly 100 a'.length + 4 + 'echo on'.length);
  });
});

describe('a limit of the run, `runTimeoutMs`', () => {
  for (const apartMs of stressed([3, 20], [20])) {
    it(`one hang and requests ${apartMs} ms apart behind it start one child`, async () => {
      await using port = obeys({ runTimeoutMs: 600 });
      await warmUp(port);
      const children = new Children(port);
      const requests = [port.request('never', { timeoutMs: 100 })];
      requests[0]!.catch(() => undefined);
      for (let n = 1; n < stressed(60, 25); n += 1) {
        await delay(apartMs);
        requests.push(port.request('echo x', { timeoutMs: 100 }));
        requests.at(-1)!.catch(() => undefined);
      }
      const { 'TIMEOUT header': hung, ...others } = await tallyOf(requests);
      // the caller of the first gave up before the end of the run; on a busy machine a late one may wait for the new child
      expect(hung).to.be.above(0);
      expect(Object.keys(others).filter((end) => !['reply', 'TIMEOUT queue', 'TIMEOUT start'].includes(end))).to.be
        .empty;
      while (children.started === 0) await once(port as EventEmitter, 'spawn');
      await settledWith(port, children, 1);
    });
  }

  it('ends the child and rejects with its own name, counted from when the child was given the request', async () => {
    await using port = obeys({ runTimeoutMs: 1000 });
    await warmUp(port);
    const children = new Children(port);
    const first = ask(port, 'slowly 150 a');
    const second = rejection(port.request('never'));
    const third = ask(port, 'echo c');
    expect(await first).to.equal('a');
    expect(await second).to.include({ code: 'ERR_REXPORT_TIMEOUT', limit: 'runTimeoutMs', timeoutMs: 1000 });
    expect(await third).to.equal('c');
    expect(children.started).to.equal(1);
  });

  it('is an option of one request too, before that of the port', async () => {
    await using port = obeys({ runTimeoutMs: 60_000 });
    await warmUp(port);
    const error = await rejection(port.request('never', { runTimeoutMs: 100 }));
    expect(error).to.include({ code: 'ERR_REXPORT_TIMEOUT', limit: 'runTimeoutMs', timeoutMs: 100 });
    expect(await ask(port, 'slowly 200 a', { runTimeoutMs: 30_000 })).to.equal('a');
    expect(port.restarts).to.equal(1);
  });

  it('lets a caller’s `timeoutMs` that ends earlier cost no child, and discards the late reply', async () => {
    await using port = obeys({ runTimeoutMs: 30_000 });
    await warmUp(port);
    const children = new Children(port);
    for (let round = 0; round < 5; round += 1) {
      const error = await rejection(port.request('slowly 120 late', { timeoutMs: 40 }));
      expect(error).to.include({ code: 'ERR_REXPORT_TIMEOUT', limit: 'timeoutMs', timeoutMs: 40 });
      expect(await ask(port, `echo ${round}`)).to.equal(String(round));
    }
    expect([children.started, port.restarts]).to.deep.equal([0, 0]);
  });

  it('is not reached by a request that only waits for long', async () => {
    await using port = obeys({ runTimeoutMs: 800 });
    await warmUp(port);
    const replies = Array.from({ length: 6 }, (_, n) => ask(port, `slowly 160 ${n}`));
    expect(await Promise.all(replies)).to.deep.equal(['0', '1', '2', '3', '4', '5']);
    expect(port.restarts).to.equal(0);
  });

  it('holds for those of a transform()', async () => {
    await using port = obeys();
    await warmUp(port);
    const ends: unknown[] = [];
    const stage = port.transform({
      runTimeoutMs: 400,
      onError: (error) => {
        ends.push((error as TimeoutError).limit);
        return undefined;
      },
    });
    for (const message of ['never', 'echo a']) stage.write(message);
    stage.end();
    const replies: string[] = [];
    for await (const reply of stage) replies.push(String(reply));
    expect([ends, replies]).to.deep.equal([['runTimeoutMs'], ['a']]);
  });
});

describe('a child that ignores SIGTERM', () => {
  const deaf = ['-e', '$SIG{TERM} = "IGNORE"; do shift', program('obeys.pl')];
  const MOST_A_LANE = 1 + 4;
  /** All of them come within the life of one child: without a bound, as many would be alive at once. */
  const ROUNDS = stressed(60, 10);
  const timeoutMs = stressed(40, 10);
  const options = { forceKillAfterMs: 400 };

  it(`and ${ROUNDS} time-outs of ${timeoutMs} ms, one after another: never more than five children are alive`, async () => {
    await using port = new Port('perl', deaf, options);
    const children = new Children(port);
    for (let round = 0; round < ROUNDS; round += 1) {
      // only a child that has answered is ended for a deadline
      await ask(port, 'echo warm');
      const error = await rejection(port.request('never', { timeoutMs }));
      expect(error).to.include({ code: 'ERR_REXPORT_TIMEOUT', phase: 'header' });
    }
    expect(children.most).to.be.within(2, MOST_A_LANE);
    expect(await ask(port, 'echo on')).to.equal('on');
  });

  it('is bounded by aborts in the same way', async () => {
    await using port = new Port('perl', deaf, options);
    await ask(port, 'echo warm');
    const children = new Children(port);
    for (let round = 0; round < ROUNDS; round += 1) {
      await rejection(port.request('never', { signal: AbortSignal.timeout(timeoutMs) }));
    }
    expect(children.most).to.be.within(2, MOST_A_LANE);
    expect(await ask(port, 'echo on')).to.equal('on');
  });
});
