import { EventEmitter, getMaxListeners, setMaxListeners } from 'node:events';
import { expect } from 'chai';
import { AbortController as Polyfill } from 'abort-controller';
import { onAbort } from '../lib/abort';
import { ProcessEvents } from './support/process-events';

/** 0: none, as from Node 22 on; Node 20 refuses to tell that one. */
function limitOf(signal: AbortSignal): number {
  try {
    return getMaxListeners(signal);
  } catch {
    return 0;
  }
}

describe('onAbort', () => {
  it('raises the limit of listeners by one for each, and gives it back', async () => {
    const events = new ProcessEvents();
    const { signal } = new AbortController();
    const before = limitOf(signal);
    const stops = Array.from({ length: 30 }, () => onAbort(signal, () => undefined));
    expect(limitOf(signal)).to.equal(before === 0 ? 0 : before + 30);
    for (const stop of stops) stop();
    expect(limitOf(signal)).to.equal(before);
    expect(await events.stop()).to.deep.equal([]);
  });

  it('leaves a limit alone that somebody has set in the meantime', () => {
    for (const limit of [0, 1, 50]) {
      const { signal } = new AbortController();
      const stops = [onAbort(signal, () => undefined), onAbort(signal, () => undefined)];
      setMaxListeners(limit, signal);
      for (const stop of stops) stop();
      expect(limitOf(signal)).to.equal(limit);
    }
  });

  it('leaves a signal alone that has no limit', () => {
    const { signal } = new AbortController();
    setMaxListeners(0, signal);
    onAbort(signal, () => undefined)();
    expect(limitOf(signal)).to.equal(0);
  });

  it('listens to a polyfilled signal, which Node does not know', () => {
    const controller = new Polyfill();
    const calls: string[] = [];
    onAbort(controller.signal as AbortSignal, () => calls.push('stopped'))();
    onAbort(controller.signal as AbortSignal, () => calls.push('kept'));
    controller.abort();
    expect(calls).to.deep.equal(['kept']);
    expect(controller.signal).to.not.be.instanceOf(EventEmitter);
  });
});
