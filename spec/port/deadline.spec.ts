import { getEventListeners, once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import { AbortError, TimeoutError } from '../../lib/errors';
import { Port } from '../../lib/port/port';
import { ask, obeys, up, watch } from '../support/ports';
import { until } from '../support/processes';
import { rejection, sh } from '../support/streams';
import { stressed } from '../support/stress';

describe('Port: a request that takes too long', () => {
  it('costs the child, which is replaced at once; no crash is counted', async () => {
    await using port = obeys({ maxRestarts: 0, backoff: { minMs: 20_000, maxMs: 20_000 } });
    const seen = watch(port);
    await ask(port, 'echo warm');
    for (let round = 0; round < 3; round += 1) {
      const error = await rejection(port.request('never', { timeoutMs: 60 }));
      expect(error).to.be.instanceOf(TimeoutError).and.include({ timeoutMs: 60 });
      expect(await ask(port, `echo ${round}`)).to.equal(String(round));
    }
    expect(port.restarts).to.equal(3);
    expect(seen).to.not.include('broken');
  });

  it('costs those written behind it: EXIT, with the TIMEOUT as its cause', async () => {
    await using port = obeys({ maxInFlight: 3 });
    await ask(port, 'echo warm');
    const late = rejection(port.request('never', { timeoutMs: 60 }));
    const behind = [rejection(port.request('echo a')), rejection(port.request('echo b'))];
    const queued = ask(port, 'echo c');
    const timeout = await late;
    expect(timeout).to.include({ code: 'ERR_REXPORT_TIMEOUT' });
    for (const error of await Promise.all(behind)) {
      expect(error).to.include({ code: 'ERR_REXPORT_EXIT', exitCode: null, signal: null });
      expect(error.cause).to.equal(timeout);
      expect(error.message).to.include('another request timed out');
    }
    expect(await queued).to.equal('c');
  });

  it('has the idempotent ones behind it sent again', async () => {
    await using port = obeys({ maxInFlight: 3 });
    await ask(port, 'echo warm');
    const late = rejection(port.request('never', { timeoutMs: 60 }));
    const behind = ['a', 'b'].map((text) => port.request(`echo ${text}`, { idempotent: true }));
    expect((await late).code).to.equal('ERR_REXPORT_TIMEOUT');
    expect((await Promise.all(behind)).map(String)).to.deep.equal(['a', 'b']);
    expect(port.restarts).to.equal(1);
  });

  it('is not sent again itself, though it is idempotent', async () => {
    await using port = obeys();
    const error = await rejection(port.request('slowly 150 a', { timeoutMs: 60, idempotent: true }));
    expect(error.code).to.equal('ERR_REXPORT_TIMEOUT');
    expect([port.pending, port.queued]).to.deep.equal([0, 0]);
  });

  it('takes the port’s deadline where it has none of its own', async () => {
    await using port = obeys({ requestTimeoutMs: 80 });
    expect(await ask(port, 'slowly 200 a', { timeoutMs: 5000 })).to.equal('a');
    expect(await rejection(port.request('never'))).to.include({ timeoutMs: 80 });
  });

  it('rejects on time, though bytes keep coming', async () => {
    await using port = obeys();
    await ask(port, 'echo warm');
    const startedAt = performance.now();
    const error = await rejection(port.request(`drip 30 ${'x'.repeat(100)}`, { timeoutMs: 300 }));
    expect(performance.now() - startedAt).to.be.within(290, 2000);
    expect(error).to.include({ phase: 'body' });
  });
});

describe('Port: the deadline names what it waited for', () => {
  it('queue: the child was busy with another', async () => {
    await using port = obeys();
    const first = ask(port, 'slowly 300 a');
    const error = await rejection(port.request('echo b', { timeoutMs: 60 }));
    expect(error).to.include({ phase: 'queue' });
    expect(await first).to.equal('a');
    expect(port.restarts).to.equal(0);
  });

  it('queue: no child was up', async () => {
    await using port = new Port('false', { backoff: { minMs: 20_000, maxMs: 20_000 } });
    port.restart();
    await once(port, 'restart');
    expect(await rejection(port.request('a', { timeoutMs: 30 }))).to.include({ phase: 'queue' });
    expect(port.pending).to.equal(0);
  });

  it('queue: it stood behind one that the child did not take', async () => {
    await using port = new Port('sleep', ['30'], { maxInFlight: 2 });
    const large = rejection(port.request(Buffer.alloc(2_000_000)));
    const error = await rejection(port.request('b', { timeoutMs: 100 }));
    expect(error).to.include({ phase: 'queue' });
    expect(port.restarts).to.equal(0);
    await port.destroy();
    await large;
  });

  it('write: a child that never reads', async () => {
    await using port = new Port('sleep', ['30'], { closeTimeoutMs: 50 });
    port.restart();
    await up(port);
    const error = await rejection(port.request(Buffer.alloc(2_000_000), { timeoutMs: 100 }));
    expect(error).to.include({ phase: 'write' });
    expect(error.message).to.equal('sleep had not taken the whole request after 100 ms');
    // it has never answered, so it is given `startTimeoutMs`
    expect(port.restarts).to.equal(0);
  });

  it('header: no reply, with a hint at buffers', async () => {
    await using port = obeys();
    await ask(port, 'echo warm');
    const error = await rejection(port.request('never', { timeoutMs: 100 }));
    expect(error).to.include({ phase: 'header' });
    expect(error.message).to.include('flush after each message');
  });

  it('header: half a header', async () => {
    await using port = obeys();
    await ask(port, 'echo warm');
    expect(await rejection(port.request('raw 0000', { timeoutMs: 100 }))).to.include({ phase: 'header' });
  });

  it('body: half a reply', async () => {
    await using port = obeys();
    await ask(port, 'echo warm');
    expect(await rejection(port.request('raw 0000000a4142', { timeoutMs: 300 }))).to.include({ phase: 'body' });
  });

  it('header: half a reply, but to the one before it', async () => {
    await using port = obeys({ maxInFlight: 2 });
    await ask(port, 'echo warm');
    const first = rejection(port.request('raw 0000000a4142'));
    expect(await rejection(port.request('echo b', { timeoutMs: 100 }))).to.include({ phase: 'header' });
    expect((await first).code).to.equal('ERR_REXPORT_EXIT');
  });
});

describe('Port: a late reply', () => {
  const runs = stressed(1008, 120);
  it(`never answers a later request, in ${runs} requests`, async () => {
    let seed = 1;
    const random = (below: number): number => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed % below;
    };
    let [late, right] = [0, 0];
    const run = async (): Promise<void> => {
      await using port = obeys({ maxInFlight: 1 + random(3) });
      for (let i = 0; i < runs / 12; i += 1) {
        const texts = [`${i}.a`, `${i}.b`, `${i}.c`];
        const requests = texts.map((text) =>
          random(6) === 0
            ? port.request(`slowly ${random(5)} ${text}`, { timeoutMs: 1 + random(5) })
            : port.request(`echo ${text}`, { idempotent: true }),
        );
        for (const [k, outcome] of (await Promise.allSettled(requests)).entries()) {
          if (outcome.status === 'rejected') late += 1;
          else expect(String(outcome.value)).to.equal(texts[k]);
          if (outcome.status === 'fulfilled') right += 1;
        }
      }
    };
    await Promise.all(Array.from({ length: 4 }, run));
    expect(late + right).to.equal(runs);
    expect(late, 'late').to.be.above(runs / 50);
    expect(right, 'right').to.be.above(runs / 2);
  });
});

describe('Port: a request that is aborted', () => {
  it('is not sent when its signal has already fired', async () => {
    await using port = obeys();
    const error = await rejection(port.request('echo a', { signal: AbortSignal.abort('no') }));
    expect(error).to.be.instanceOf(AbortError).and.include({ cause: 'no' });
    expect([port.state, port.pending]).to.deep.equal(['idle', 0]);
  });

  it('costs nobody anything while it waits in the queue', async () => {
    await using port = obeys();
    const controller = new AbortController();
    const replies = [ask(port, 'slowly 50 a'), ask(port, 'echo c')];
    const aborted = rejection(port.request('echo b', { signal: controller.signal }));
    expect(port.pending).to.equal(3);
    controller.abort();
    expect((await aborted).name).to.equal('AbortError');
    expect(port.pending).to.equal(2);
    expect(await Promise.all(replies)).to.deep.equal(['a', 'c']);
    expect(port.restarts).to.equal(0);
  });

  it('has its reply swallowed while others wait', async () => {
    await using port = obeys({ maxInFlight: 3 });
    await ask(port, 'echo warm');
    const controller = new AbortController();
    const { signal } = controller;
    const requests = [
      port.request('slowly 50 a', { signal }),
      port.request('echo b'),
      port.request('echo c', { signal }),
    ];
    const outcomes = Promise.allSettled(requests);
    await turn(); // they are written together at the end of their tick
    controller.abort();
    expect((await outcomes).map(({ status }) => status)).to.deep.equal(['rejected', 'fulfilled', 'rejected']);
    expect(String(await requests[1])).to.equal('b');
    expect(await Promise.all([ask(port, 'echo d'), ask(port, 'echo e')])).to.deep.equal(['d', 'e']);
    expect(port.restarts).to.equal(0);
  });

  it('costs the child when nobody else waits for it; no crash is counted', async () => {
    await using port = obeys({ maxRestarts: 0, backoff: { minMs: 20_000, maxMs: 20_000 } });
    await ask(port, 'echo warm');
    for (let round = 0; round < 3; round += 1) {
      const controller = new AbortController();
      const aborted = rejection(port.request('never', { signal: controller.signal }));
      const queued = ask(port, 'echo next');
      controller.abort();
      expect((await aborted).name).to.equal('AbortError');
      expect(await queued).to.equal('next');
    }
    expect(port.restarts).to.equal(3);
  });

  it('does not hold those that stand unwritten behind it: they go to the next child', async () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'port-'));
    await using port = new Port(...sh(`mkdir ${directory}/once && exec sleep 30; exec cat`), { maxInFlight: 3 });
    const controller = new AbortController();
    const aborted = rejection(port.request(Buffer.alloc(2_000_000), { signal: controller.signal }));
    const behind = ['a', 'b'].map((message) => ask(port, message));
    await until(() => existsSync(`${directory}/once`), 10_000);
    expect(port.queued).to.equal(0);
    controller.abort();
    expect((await aborted).name).to.equal('AbortError');
    expect(await Promise.all(behind)).to.deep.equal(['a', 'b']);
    expect(port.restarts).to.equal(1);
    rmSync(directory, { recursive: true });
  });

  it('is waited for by those written behind it: when the last of them gives up, the child goes, and the queue goes on', async () => {
    await using port = obeys({ maxInFlight: 3 });
    await ask(port, 'echo warm');
    const aborts = ['never', 'echo a', 'echo b'].map((message) => {
      const controller = new AbortController();
      const aborted = rejection(port.request(message, { signal: controller.signal }));
      return () => (controller.abort(), aborted);
    });
    const queued = [ask(port, 'echo c'), ask(port, 'echo d')];
    await turn(); // they are written together at the end of their tick
    for (const abort of aborts) {
      expect([port.restarts, port.queued]).to.deep.equal([0, 2]);
      expect((await abort()).name).to.equal('AbortError');
    }
    expect(await Promise.all(queued)).to.deep.equal(['c', 'd']);
    expect(port.restarts).to.equal(1);
  });

  it('costs nobody anything in the tick of its call', async () => {
    await using port = obeys({ maxInFlight: 3 });
    await ask(port, 'echo warm');
    const controller = new AbortController();
    const aborted = rejection(port.request('never', { signal: controller.signal }));
    const behind = ask(port, 'echo a');
    controller.abort();
    expect((await aborted).name).to.equal('AbortError');
    expect(await behind).to.equal('a');
    expect(port.restarts).to.equal(0);
  });

  it('makes room for the next when it was not written yet', async () => {
    await using port = new Port(...sh('sleep 0.2; exec cat'), { maxInFlight: 2 });
    const controller = new AbortController();
    const large = port.request(Buffer.alloc(1_000_000, 'x'));
    const aborted = rejection(port.request('b', { signal: controller.signal }));
    const next = ask(port, 'c');
    await up(port);
    controller.abort();
    expect((await aborted).name).to.equal('AbortError');
    expect(await next).to.equal('c');
    expect((await large).length).to.equal(1_000_000);
    expect(port.restarts).to.equal(0);
  });

  it('shares its signal with a hundred others: no warning, and no listener is left', async () => {
    const warnings: Error[] = [];
    const warned = (warning: Error): void => void warnings.push(warning);
    process.on('warning', warned);
    await using port = obeys({ maxInFlight: 10 });
    const controller = new AbortController();
    const { signal } = controller;
    const replies = await Promise.all(Array.from({ length: 100 }, (_, i) => ask(port, `echo ${i}`, { signal })));
    expect(replies).to.deep.equal(Array.from({ length: 100 }, (_, i) => String(i)));
    expect(getEventListeners(signal, 'abort')).to.have.length(0);
    const requests = Array.from({ length: 100 }, () => rejection(port.request('never', { signal })));
    expect(getEventListeners(signal, 'abort')).to.have.length(1);
    controller.abort();
    for (const error of await Promise.all(requests)) expect(error.name).to.equal('AbortError');
    expect(getEventListeners(signal, 'abort')).to.have.length(0);
    expect(await ask(port, 'echo on')).to.equal('on');
    process.off('warning', warned);
    expect(warnings).to.deep.equal([]);
  });
});
