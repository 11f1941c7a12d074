import { getEventListeners, once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import { AbortError } from '../../lib/errors';
import { Port } from '../../lib/port/port';
import { ask, isAlive, obeys, up, watch } from '../support/ports';
import { startProgram } from '../support/programs';
import { rejection, sh } from '../support/streams';
import { stressed } from '../support/stress';

const CLOSED = 'ERR_REXPORT_CLOSED';

/** What happens to nobody's promises while a spec runs. */
const unhandled: unknown[] = [];
const collect = (reason: unknown): void => void unhandled.push(reason);

describe('Port: close', () => {
  it('finishes what it has accepted, refuses more, and resolves when the child is gone', async () => {
    const port = obeys();
    const seen = watch(port);
    const replies = Array.from({ length: 5 }, (_, i) => ask(port, `slowly 20 ${i}`));
    const closing = port.close();
    expect((await rejection(port.request('echo no'))).code).to.equal(CLOSED);
    expect(await Promise.all(replies)).to.deep.equal(['0', '1', '2', '3', '4']);
    await closing;
    expect([port.state, port.pending, seen.at(-1)]).to.deep.equal(['closed', 0, 'exit 1']);
    expect((await rejection(port.request('echo no'))).code).to.equal(CLOSED);
  });

  it('ends the child’s input and sends it no signal', async () => {
    const port = new Port(...sh('cat; exit 5'));
    expect(await ask(port, 'a')).to.equal('a');
    const exit = once(port, 'exit') as Promise<[unknown, object]>;
    await port.close();
    expect((await exit)[1]).to.include({ exitCode: 5, signal: null });
  });

  it('gives the same promise when it is called twice, and after destroy', async () => {
    const port = new Port('cat');
    await ask(port, 'a');
    const closing = port.close();
    expect(port.close()).to.equal(closing);
    expect(port[Symbol.asyncDispose]()).to.equal(closing);
    expect(port.destroy()).to.equal(closing);
    await closing;
    expect(port.close()).to.equal(closing);
    const other = new Port('cat');
    const gone = other.destroy();
    expect(other.close()).to.equal(gone);
    await gone;
  });

  it('resolves at once where nothing was spawned', async () => {
    const port = new Port('cat');
    const seen = watch(port);
    await port.close();
    expect([port.state, seen]).to.deep.equal(['closed', []]);
  });

  it('ends a child that is being spawned', async () => {
    const port = new Port('cat');
    port.restart();
    await port.close();
    expect(port.state).to.equal('closed');
    const slow = new Port(...sh('cat'), { maxAgeMs: 60_000 });
    slow.restart();
    await slow.close();
  });

  it('leaves no timer for the age of a child that comes up while it closes', async () => {
    const port = new Port('cat', { maxAgeMs: 60_000, maxRequests: 1 });
    await ask(port, 'a');
    await port.close();
  });

  it('destroys the port after a silence of closeTimeoutMs', async () => {
    const port = obeys({ closeTimeoutMs: 100 });
    const request = rejection(port.request('never'));
    const behind = rejection(port.request('echo'));
    await up(port);
    await port.close();
    expect((await request).code).to.equal(CLOSED);
    expect((await behind).code).to.equal(CLOSED);
  });

  it('tolerates any time that is no silence: each reply begins it anew', async () => {
    const port = obeys({ closeTimeoutMs: 500 });
    const replies = Array.from({ length: 6 }, (_, i) => ask(port, `slowly 150 ${i}`));
    await up(port);
    const startedAt = performance.now();
    await port.close();
    expect(await Promise.all(replies)).to.have.length(6);
    expect(performance.now() - startedAt).to.be.above(700);
  });

  it('gives a child that does not leave at the end of its input closeTimeoutMs again, then the ladder', async () => {
    const port = new Port(...sh('cat; trap "" TERM; while :; do sleep 0.05; done'), {
      closeTimeoutMs: 100,
      forceKillAfterMs: 100,
    });
    await ask(port, 'a');
    const exit = once(port, 'exit') as Promise<[unknown, object]>;
    await port.close();
    expect((await exit)[1]).to.include({ signal: 'SIGKILL' });
  });

  it('goes on restarting in a backoff until the queue is answered', async () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'port-'));
    const port = new Port(...sh(`mkdir ${directory}/once 2>/dev/null && exit 1; exec cat`), {
      backoff: { minMs: 50, maxMs: 50 },
    });
    port.restart();
    await once(port, 'restart');
    const reply = ask(port, 'a');
    await port.close();
    expect(await reply).to.equal('a');
    rmSync(directory, { recursive: true });
  });

  it('ends an idle backoff', async () => {
    const port = new Port('false', { backoff: { minMs: 20_000, maxMs: 20_000 }, maxRestarts: 100 });
    port.restart();
    await once(port, 'restart');
    expect(port.state).to.equal('backoff');
    await port.close();
    expect(port.state).to.equal('closed');
  });

  it('comes to an end when the port breaks meanwhile', async () => {
    const port = new Port('no-such-program');
    const request = rejection(port.request('a'));
    await port.close();
    expect((await request).code).to.equal('ERR_REXPORT_BROKEN');
  });

  it('refuses restart()', async () => {
    const port = new Port('cat');
    const closing = port.close();
    expect(() => port.restart())
      .to.throw(/closed/)
      .with.property('code', CLOSED);
    await closing;
    expect(() => port.restart()).to.throw(/closed/);
  });

  it('is what await using does', async () => {
    let reply: Promise<string>;
    let seen: string[];
    {
      await using port = obeys();
      seen = watch(port);
      reply = ask(port, 'slowly 50 done');
    }
    expect(seen).to.deep.equal(['spawn 1', 'exit 1']);
    expect(await reply).to.equal('done');
  });
});

describe('Port: destroy', () => {
  it('rejects all with the error itself and ends the child', async () => {
    const port = obeys({ maxInFlight: 2 });
    const seen = watch(port);
    const errors = ['never', 'never', 'echo a', 'echo b'].map((message, i) =>
      rejection(port.request(message, { idempotent: i % 2 === 0 })),
    );
    await up(port);
    const error = new Error('enough');
    await port.destroy(error);
    for (const outcome of await Promise.all(errors)) expect(outcome).to.equal(error);
    expect([port.state, port.pending, port.queued]).to.deep.equal(['closed', 0, 0]);
    expect(seen).to.deep.equal(['spawn 1', 'exit 1']);
  });

  it('has the requests say closed where no error is given', async () => {
    const port = obeys();
    const outcome = rejection(port.request('never'));
    await port.destroy();
    expect((await outcome).code).to.equal(CLOSED);
    expect((await rejection(port.request('a'))).code).to.equal(CLOSED);
  });

  it('leaves nothing behind after close(), however often it is called', async () => {
    const port = new Port('cat');
    await ask(port, 'a');
    await port.close();
    await port.destroy();
    await port.destroy(new Error('late'));
    expect(port.state).to.equal('closed');
  });

  it('ends a close() that waits', async () => {
    const port = obeys();
    const request = rejection(port.request('never'));
    await up(port);
    const closing = port.close();
    const error = new Error('now');
    void port.destroy(error);
    await closing;
    expect(await request).to.equal(error);
  });

  it('spawns nothing more when it is called from any event', async () => {
    for (const event of ['spawn', 'exit', 'restart', 'broken', 'unexpected'] as const) {
      const port = obeys({ maxRestarts: event === 'broken' ? 0 : 5 });
      const seen = watch(port);
      const gone = new Promise<void>((resolve) => port.once(event, () => resolve(port.destroy())));
      const message = event === 'unexpected' ? 'raw 00000001410000000142' : 'exit 1';
      await Promise.allSettled([port.request(message), port.request(message)]);
      await gone;
      expect(
        seen.filter((line) => line.startsWith('spawn')),
        event,
      ).to.deep.equal(['spawn 1']);
      expect(port.state).to.equal('closed');
    }
  });

  it('is what the option signal does, with an AbortError', async () => {
    const controller = new AbortController();
    const port = obeys({ signal: controller.signal });
    const request = rejection(port.request('never'));
    await up(port);
    controller.abort('enough');
    expect(await request)
      .to.be.instanceOf(AbortError)
      .and.include({ cause: 'enough' });
    await port.close();
    expect(getEventListeners(controller.signal, 'abort')).to.have.length(0);
  });

  it('leaves no listener on the signal of a port that was closed', async () => {
    const { signal } = new AbortController();
    const port = new Port('cat', { signal });
    await ask(port, 'a');
    await port.close();
    expect(getEventListeners(signal, 'abort')).to.have.length(0);
  });

  it('spawns nothing when the signal has already fired', async () => {
    const port = new Port('cat', { signal: AbortSignal.abort() });
    const seen = watch(port);
    expect(await rejection(port.request('a'))).to.be.instanceOf(AbortError);
    await port.close();
    expect([port.state, seen]).to.deep.equal(['closed', []]);
  });

  it('raises no unhandled rejection in any order of events', async () => {
    unhandled.length = 0;
    process.on('unhandledRejection', collect);
    const some = ['slowly 5 a', 'exit 3', 'never', 'raw 0000000141ff'];
    const messages = [...some, ...stressed(['echo', 'kill KILL', 'raw ffffffff'], [])];
    const ends: ((port: Port) => Promise<void>)[] = [
      (port) => port.close(),
      (port) => port.destroy(),
      (port) => port.destroy(new Error('enough')),
      async (port) => void (await Promise.all([port.close(), port.destroy()])),
      (port) => once(port, 'spawn').then(() => port.destroy()),
      (port) => once(port, 'exit').then(() => port.destroy(new Error('enough'))),
    ];
    const run = async (message: string, end: (port: Port) => Promise<void>): Promise<void> => {
      const port = obeys({ maxInFlight: 2, closeTimeoutMs: 100, backoff: { minMs: 1, maxMs: 5 } });
      const ended = end(port);
      const all = ['echo', message, 'echo', message].map((text) => port.request(text, { timeoutMs: 200 }));
      await Promise.allSettled(all);
      await Promise.race([ended, port.close()]);
      await port.close();
    };
    await Promise.all(messages.flatMap((message) => ends.map((end) => run(message, end))));
    await turn();
    process.off('unhandledRejection', collect);
    expect(unhandled).to.deep.equal([]);
  });
});

describe('Port: the life of this process', () => {
  it('goes on while a request is pending; no port keeps it that is idle, broken, closed or destroyed', async () => {
    const { stdout } = await startProgram('port-parent').ended;
    expect(stdout).to.match(/^reply: slow, pid: \d+\n$/);
    // The idle child was sent a signal; it is nobody's here, so there is no event to wait for.
    while (isAlive(Number(/\d+/.exec(stdout)?.[0]))) await turn();
  });
});
