import { EventEmitter, getMaxListeners, setMaxListeners } from 'node:events';
import { expect } from 'chai';
import { AbortController as Polyfill } from 'abort-controller';
import { AbortGroup, onAbort } from '../lib/abort';
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

describe('AbortGroup', () => {
  it('tells those of a signal alone, whatever was added and deleted in between, and each but once', () => {
    const controllers = [new AbortController(), new AbortController()] as const;
    const [first, second] = controllers;
    const told: string[] = [];
    const group = new AbortGroup<string>((items, signal) => {
      for (const item of items) {
        told.push(`${item} by ${signal === first.signal ? 'first' : 'second'}`);
        group.delete(signal, item);
      }
    });
    group.add(first.signal, 'a');
    group.add(second.signal, 'b');
    group.add(first.signal, 'c');
    group.delete(second.signal, 'a');
    group.delete(first.signal, 'a');
    group.add(second.signal, 'd');
    group.delete(second.signal, 'b');
    second.abort();
    expect(told).to.deep.equal(['d by second']);
    first.abort();
    expect(told).to.deep.equal(['d by second', 'c by first']);
  });

  it('listens to a signal again that nobody was left for', () => {
    const controller = new AbortController();
    const told: string[][] = [];
    const group = new AbortGroup<string>((items) => told.push(items));
    for (const item of ['a', 'b']) {
      group.add(controller.signal, item);
      group.delete(controller.signal, item);
    }
    group.add(controller.signal, 'c');
    controller.abort();
    expect(told).to.deep.equal([['c']]);
  });
});
