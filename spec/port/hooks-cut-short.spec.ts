/** What a start or a stop leaves behind that was cut short, or did not wait for all that it asked for. */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import { incoming, lines, Port, type ChildHooks, type Protocol } from '../../lib';
import { rejection } from '../support/streams';

const GREETER = ['-c', 'echo hello; while read -r line; do echo "$line!"; done; echo bye'];

/** A protocol that notes what it is given. */
function noting(): { heard: string[]; protocol: Protocol<string, string> } {
  const heard: string[] = [];
  const protocol: Protocol<string, string> = {
    ids: false,
    encode: String,
    receive: (message) => {
      heard.push(String(message));
      return incoming.reply(String(message));
    },
  };
  return { heard, protocol };
}

describe('Port with a start that is cut short', () => {
  for (const [when, settle] of [
    ['before it asks for anything', async () => {}],
    ['while it waits', () => delay(20)],
  ] as const) {
    it(`hands what the child greets with to nobody else: closed ${when}`, async () => {
      const { heard, protocol } = noting();
      const greeted: string[] = [];
      let hasBegun = (): void => undefined;
      const begun = new Promise<void>((resolve) => (hasBegun = resolve));
      const port = new Port<string, string>('sh', GREETER, {
        framing: lines(),
        protocol,
        start: async (child) => {
          hasBegun();
          await settle();
          greeted.push(String(await child.receive()));
          await new Promise(() => undefined);
        },
      });
      const unexpected: string[] = [];
      port.on('unexpected', (_child, message) => unexpected.push(String(message)));
      const exit = once(port, 'exit');
      const started = rejection(port.start());
      await begun;
      while (when === 'while it waits' && greeted.length === 0) await delay(1);
      await port.close();
      expect((await started).code).to.equal('ERR_REXPORT_CLOSED');
      // it left at the end of its input, with all that it had to say
      expect((await exit)[1]).to.include({ exitCode: 0 });
      expect([heard, unexpected]).to.deep.equal([[], []]);
    });
  }
});

describe('Port with a start that does not wait for what it asked for', () => {
  const silent = (hooks: ChildHooks<string, string>): Port<string, string> =>
    new Port<string, string>('sh', ['-c', 'while read -r line; do echo "$line!"; done'], {
      framing: lines(),
      encode: String,
      decode: String,
      ...hooks,
    });

  it('rejects that when it is done: the first reply goes to the first request', async () => {
    const greeting: { error?: Error } = {};
    await using port = silent({
      start: async (child) => {
        const greeted = child.receive().catch((error: Error) => (greeting.error = error));
        await Promise.race([greeted, delay(20)]);
      },
    });
    expect(await port.request('a')).to.equal('a!');
    expect(await port.request('b')).to.equal('b!');
    expect(greeting.error?.message).to.equal('start() was done before the message came that it asked for');
    expect(port.restarts).to.equal(0);
  });

  it('the same of a stop: a child that leaves silently is no failure', async () => {
    const farewell: { error?: Error } = {};
    const port = silent({
      stop: async (child) => {
        const said = child.receive().catch((error: Error) => (farewell.error = error));
        await Promise.race([said, delay(20)]);
      },
    });
    expect(await port.request('a')).to.equal('a!');
    await port.close();
    expect(farewell.error?.message).to.equal('stop() was done before the message came that it asked for');
  });
});
