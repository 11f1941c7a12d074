import { expect } from 'chai';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { Readable, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { AbortError, PortDuplex, TimeoutError } from '../../lib';
import { survivors } from '../support/processes';
import { sideBySide } from '../support/side-by-side';
import { closed, CountingSink, idleSource, rejection, sh, zeros } from '../support/streams';
import { repeat, stressed } from '../support/stress';

/** A zombie is gone: only its parent has not looked yet. */
function isAlive(pid: number): boolean {
  if (!existsSync(`/proc/${pid}/stat`)) return false;
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return stat.charAt(stat.lastIndexOf(')') + 2) !== 'Z';
}

async function spawned(port: PortDuplex): Promise<number> {
  if (port.pid === undefined) await once(port, 'spawn');
  return port.pid as number;
}

const causes: Record<string, (port: PortDuplex) => Promise<unknown>> = {
  'destroy()': async (port) => {
    port.on('error', () => expect.fail('destroy raises no error of its own'));
    await spawned(port);
    port.destroy();
  },
  'a source error': async (port) => {
    const source = idleSource();
    const outcome = rejection(pipeline(source, port, new CountingSink()));
    await spawned(port);
    source.destroy(new Error('the source broke'));
    expect((await outcome).message).to.equal('the source broke');
  },
  'a sink error': async (port) => {
    const sink = new CountingSink();
    const outcome = rejection(pipeline(idleSource(), port, sink));
    await spawned(port);
    sink.destroy(new Error('the sink broke'));
    expect((await outcome).message).to.equal('the sink broke');
  },
  'an aborted pipeline': async (port) => {
    const controller = new AbortController();
    const outcome = rejection(pipeline(idleSource(), port, new CountingSink(), { signal: controller.signal }));
    await spawned(port);
    controller.abort();
    expect((await outcome).name).to.equal('AbortError');
  },
  'a break in for await': async (port) => {
    port.on('error', () => expect.fail('a break raises no error'));
    for await (const chunk of port) {
      expect(String(chunk)).to.equal('started\n');
      break;
    }
  },
};

describe('PortDuplex: the ending', () => {
  const itWaits = sideBySide();

  const times = stressed(50, 2);
  for (const [cause, end] of Object.entries(causes)) {
    itWaits(`has no child left when it emits close after ${cause}, ${times} times`, async () => {
      const run = async (): Promise<void> => {
        const port = new PortDuplex(...sh('echo started; exec sleep 30'));
        const pid = spawned(port);
        const isOver = closed(port);
        await end(port);
        await isOver;
        expect(isAlive(await pid)).to.equal(false);
        expect(port.signalCode).to.equal('SIGTERM');
      };
      await repeat(times, 10, run);
    });
  }

  it('spawns nothing when it is destroyed in its first tick', async () => {
    const port = new PortDuplex('sleep', ['30']);
    port.destroy();
    await closed(port);
    expect(port.pid).to.equal(undefined);
    expect(await port.exited).to.deep.equal({ exitCode: null, signal: null, durationMs: 0 });
  });

  it('is destroyed with an AbortError when its signal fires, and closes when the child is gone', async () => {
    const controller = new AbortController();
    const port = new PortDuplex('sleep', ['30'], { signal: controller.signal });
    const pid = await spawned(port);
    const outcome = once(port, 'error');
    controller.abort(new Error('enough'));
    const [error] = (await outcome) as [Error];
    expect(error).to.be.instanceOf(AbortError).and.include({ name: 'AbortError', code: 'ABORT_ERR' });
    expect((error.cause as Error).message).to.equal('enough');
    await closed(port);
    expect(isAlive(pid)).to.equal(false);
  });

  itWaits('is destroyed with a TimeoutError when the child runs longer than timeoutMs', async () => {
    const port = new PortDuplex('sleep', ['30'], { timeoutMs: 100 });
    const [error] = (await once(port, 'error')) as [Error];
    expect(error).to.be.instanceOf(TimeoutError).and.include({ timeoutMs: 100, phase: 'run' });
    expect(error.message).to.equal('sleep was still running 100 ms after its spawn');
    await closed(port);
  });

  it('ends a child that ignores SIGTERM by SIGKILL after forceKillAfterMs', async () => {
    const port = new PortDuplex(...sh('trap "" TERM; echo ready; sleep 60 & wait; wait'), { forceKillAfterMs: 100 });
    await once(port.resume(), 'data');
    const startedAt = performance.now();
    port.destroy();
    await closed(port);
    expect(port.signalCode).to.equal('SIGKILL');
    expect(performance.now() - startedAt).to.be.within(80, 1100);
  });

  itWaits('lets a polite child say goodbye on stderr and take its leave by itself', async () => {
    const port = new PortDuplex(...sh('trap "echo bye >&2; exit 7" TERM; echo ready; while :; do sleep 0.01; done'));
    const goodbye = text(port.stderr as Readable);
    port.on('error', () => expect.fail('a death after destroy is recorded, not raised'));
    await once(port.resume(), 'data');
    port.destroy();
    await closed(port);
    expect(await goodbye).to.equal('bye\n');
    expect(await port.exited).to.include({ exitCode: 7, signal: null });
  });

  it('leaves no descendant when killTree is set, and does not wait for one either', async () => {
    const port = new PortDuplex(...sh('sleep 60 & echo $!; sleep 60; echo never'), { killTree: true });
    const [line] = (await once(port, 'data')) as [Buffer];
    const startedAt = performance.now();
    port.destroy();
    await closed(port);
    expect(performance.now() - startedAt).to.be.below(1000);
    expect(isAlive(port.pid as number)).to.equal(false);
    // it was sent SIGKILL by then; that a busy system takes its time to act on it is nothing that we are told
    expect(await survivors([Number(String(line))])).to.deep.equal([]);
  });

  it('settles by the grace rule when only the wrapper dies, and its child holds the pipes', async () => {
    const port = new PortDuplex(...sh('sleep 3 & echo $!; wait'));
    const [line] = (await once(port, 'data')) as [Buffer];
    const startedAt = performance.now();
    port.destroy();
    await closed(port);
    expect(performance.now() - startedAt).to.be.below(1000);
    process.kill(Number(String(line)), 'SIGKILL');
  });

  it('is disposed by await using: gone, without an error', async () => {
    let pid: number;
    {
      await using port = new PortDuplex('sleep', ['30']);
      port.on('error', () => expect.fail('dispose raises no error'));
      pid = await spawned(port);
      expect(isAlive(pid)).to.equal(true);
    }
    expect(isAlive(pid)).to.equal(false);
    const finishedPort = new PortDuplex('true');
    finishedPort.resume().end();
    await closed(finishedPort);
    await Promise.all([finishedPort[Symbol.asyncDispose](), finishedPort[Symbol.asyncDispose]()]);
  });

  it('raises nothing when it is killed in a 10 MiB write', async () => {
    const port = new PortDuplex('sleep', ['30']);
    port.on('error', () => expect.fail('destroy raises no error of its own'));
    await spawned(port);
    const called = new Promise((resolve) => port.write(Buffer.alloc(10 * 1024 * 1024), resolve));
    port.destroy();
    await Promise.all([called, closed(port)]);
  });

  const deaf = stressed(200, 4);
  it(`closes ${deaf} deaf children that were written to`, async () => {
    const run = async (): Promise<void> => {
      const port = new PortDuplex('sleep', ['30']);
      port.write(Buffer.alloc(400_000), () => undefined);
      await spawned(port);
      await port[Symbol.asyncDispose]();
    };
    await repeat(deaf, 20, run);
  });

  it('is destroyed by a stage behind it that throws, together with the stage before it', async () => {
    const source = zeros(10_000_000);
    const port = new PortDuplex('cat');
    const bad = new Writable({ write: (_chunk, _encoding, callback) => callback(new Error('disk full')) });
    expect((await rejection(pipeline(source, port, bad))).message).to.equal('disk full');
    expect(source.destroyed && port.destroyed && bad.destroyed).to.equal(true);
    await closed(port);
  });

  it('closes by itself when it was read to the end and nobody has written: nobody would end its stdin', async () => {
    const port = new PortDuplex(...sh('echo hi'));
    expect(await text(port)).to.equal('hi\n');
    await closed(port);
    expect([port.errored, port.writableFinished]).to.deep.equal([null, true]);
  });

  itWaits('stays open for one that has written: a later write must not fail by its timing', async () => {
    const port = new PortDuplex(...sh('read line; echo hi'));
    port.write('a line\n');
    expect(await text(port)).to.equal('hi\n');
    await new Promise((resolve) => setImmediate(resolve));
    expect([port.closed, port.destroyed]).to.deep.equal([false, false]);
    await new Promise((resolve) => port.write('nobody takes this', resolve));
    port.end();
    await closed(port);
    expect(port.errored).to.equal(null);
  });
});
