import { getEventListeners, once, setMaxListeners } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { AbortController as Polyfill } from 'abort-controller';
import { expect } from 'chai';
import { PortDuplex } from '../../lib';
import { ProcessEvents } from '../support/process-events';
import { closed, idleSource, sh } from '../support/streams';
import { stressed } from '../support/stress';

describe('PortDuplex: an AbortSignal and timeoutMs', () => {
  let events: ProcessEvents;
  beforeEach(() => (events = new ProcessEvents()));
  afterEach('nothing reached process', async () => expect(await events.stop()).to.deep.equal([]));

  it('has no listener on the signal once the program has ended well and all was read, and a late abort does nothing', async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const ports = Array.from({ length: stressed(30, 12) }, (_, index) => {
      const port = new PortDuplex(...sh('echo hi'), { signal });
      // an open writable side keeps the port from closing
      if (index % 2 === 0) idleSource().pipe(port);
      else port.write('x');
      return port.resume();
    });
    await Promise.all(ports.map((port) => once(port, 'end')));
    expect(getEventListeners(signal, 'abort')).to.deep.equal([]);
    controller.abort();
    await delay(20);
    for (const port of ports) expect([port.errored, port.destroyed]).to.deep.equal([null, false]);
    for (const port of ports) port.destroy();
    await Promise.all(ports.map(closed));
  });

  it('has none either when a port without stdout has ended, failed, or was destroyed', async () => {
    const { signal } = new AbortController();
    const good = new PortDuplex('true', { signal, stdout: 'ignore' });
    await once(good, 'exit');
    expect(getEventListeners(signal, 'abort')).to.deep.equal([]);
    const bad = new PortDuplex('false', { signal }).on('error', () => undefined);
    const left = new PortDuplex('sleep', ['30'], { signal });
    left.destroy();
    await Promise.all([closed(bad), closed(left)]);
    expect(getEventListeners(signal, 'abort')).to.deep.equal([]);
    good.destroy();
    await closed(good);
  });

  it('listens while somebody still reads', async () => {
    const controller = new AbortController();
    const port = new PortDuplex('head', ['-c', '100000', '/dev/zero'], { signal: controller.signal });
    port.once('data', () => port.pause());
    await once(port, 'exit');
    controller.abort();
    expect(await once(port, 'error')).to.have.nested.property('0.name', 'AbortError');
    await closed(port);
  });

  it('ends its program though the limit of listeners of the signal was taken away meanwhile', async () => {
    const { signal } = new AbortController();
    const port = new PortDuplex('sleep', ['30'], { signal });
    setMaxListeners(0, signal);
    await once(port, 'spawn');
    port.destroy();
    await closed(port);
    expect(port.signalCode).to.equal('SIGTERM');
  });

  it('takes a polyfilled AbortSignal', async () => {
    const controller = new Polyfill();
    const port = new PortDuplex('sleep', ['30'], { signal: controller.signal as AbortSignal });
    await once(port, 'spawn');
    controller.abort();
    expect(await once(port, 'error')).to.have.nested.property('0.name', 'AbortError');
    await closed(port);
    const aborted = new PortDuplex('sleep', ['30'], { signal: controller.signal as AbortSignal });
    await once(aborted, 'error');
    expect(aborted.pid).to.equal(undefined);
    await closed(aborted);
  });

  it('does not count the time that a slow reader takes after the exit for timeoutMs', async () => {
    const exited = async (timeoutMs: number): Promise<[port: PortDuplex, timeoutMs: number]> => {
      const port = new PortDuplex('head', ['-c', '1000', '/dev/zero'], { stdin: 'ignore', timeoutMs });
      try {
        await once(port, 'exit');
        return [port, timeoutMs];
      } catch {
        // on a busy machine the program itself may take longer
        return exited(2 * timeoutMs);
      }
    };
    const [port, timeoutMs] = await exited(200);
    // the time that the timer would take, if it still ran
    await delay(timeoutMs + 50);
    let bytes = 0;
    for await (const chunk of port) bytes += (chunk as Buffer).length;
    expect(bytes).to.equal(1000);
  });
});
