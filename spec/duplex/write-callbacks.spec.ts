import { expect } from 'chai';
import { once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { PortDuplex } from '../../lib';
import { WriteCallbacks } from '../../lib/duplex/write-callbacks';
import { closed } from '../support/streams';

const closing = new Error('closed');

describe('the callbacks of write and end', () => {
  it('are called once, by the stream or by the end of the port, as either comes first', () => {
    const callbacks = new WriteCallbacks();
    const calls: unknown[] = [];
    const first = callbacks.guard((error) => calls.push(['first', error]));
    const second = callbacks.guard((error) => calls.push(['second', error]));
    first(null);
    callbacks.fail(closing);
    second(null);
    expect(calls).to.deep.equal([
      ['first', null],
      ['second', closing],
    ]);
  });

  it('that come after the close are called too, where the stream forgets them', async () => {
    const callbacks = new WriteCallbacks();
    callbacks.fail(closing);
    const calls: unknown[] = [];
    callbacks.guard((error) => calls.push(error));
    await turn();
    expect(calls).to.deep.equal([closing]);
  });

  it('that come after the close have what the stream says, which may know better', async () => {
    const callbacks = new WriteCallbacks();
    callbacks.fail(closing);
    const calls: unknown[] = [];
    const better = new Error('write after end');
    const once = callbacks.guard((error) => calls.push(error));
    // as a stream does it
    process.nextTick(() => process.nextTick(once, better));
    await turn();
    await turn();
    expect(calls).to.deep.equal([better]);
  });

  it('are not called for what `write` has refused by a throw', async () => {
    for (const wrong of [null, 5, {}]) {
      const port = new PortDuplex('cat').resume();
      let calls = 0;
      expect(() => port.write(wrong, () => (calls += 1))).to.throw();
      await once(port, 'spawn');
      port.destroy();
      await closed(port);
      await turn();
      expect(calls).to.equal(0);
    }
  });
});
