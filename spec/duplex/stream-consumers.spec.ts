import { once } from 'node:events';
import { Duplex, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { finished, pipeline } from 'node:stream/promises';
import { runInNewContext } from 'node:vm';
import { expect } from 'chai';
import { PortDuplex } from '../../lib';
import { ProcessEvents } from '../support/process-events';
import { closed, CountingSink, rejection, sh } from '../support/streams';

function silent(): PortDuplex {
  return new PortDuplex(...sh('echo hi; exec sleep 30'));
}

describe('PortDuplex: a stream to everybody', () => {
  let events: ProcessEvents;
  beforeEach(() => (events = new ProcessEvents()));
  afterEach('nothing reached process', async () => expect(await events.stop()).to.deep.equal([]));

  describe('a reader that leaves while the program is silent ends it:', () => {
    it('`return` of its iterator while a `next` is pending, which then rejects', async () => {
      for (const isHandled of [false, true]) {
        const port = silent();
        const iterator = port[Symbol.asyncIterator]();
        expect(String((await iterator.next()).value)).to.equal('hi\n');
        const pending = iterator.next();
        const outcome = isHandled ? rejection(pending) : undefined;
        await iterator.return!();
        await closed(port);
        expect([port.signalCode, port.errored]).to.deep.equal(['SIGTERM', null]);
        if (outcome) expect(await outcome).to.include({ code: 'ERR_STREAM_PREMATURE_CLOSE' });
        expect(await iterator.next()).to.deep.equal({ done: true, value: undefined });
      }
    });

    it('`throw` of its iterator', async () => {
      const port = silent();
      const iterator = port[Symbol.asyncIterator]();
      await iterator.next();
      const thrown = new Error('enough');
      expect(await rejection(iterator.throw!(thrown))).to.equal(thrown);
      await closed(port);
      expect(port.signalCode).to.equal('SIGTERM');
    });

    it('`return` before the first `next`', async () => {
      const port = silent();
      await once(port, 'spawn');
      await port[Symbol.asyncIterator]().return!();
      await closed(port);
      expect(port.signalCode).to.equal('SIGTERM');
    });

    it('Readable.from(port).destroy(), with and without an error', async () => {
      for (const error of [undefined, new Error('enough')]) {
        const port = silent();
        const readable = Readable.from(port).on('error', () => undefined);
        await once(readable, 'data');
        readable.destroy(error);
        await closed(port);
        expect(port.signalCode).to.equal('SIGTERM');
      }
    });

    it('a cancelled body of a Response, whether or not a read is pending', async () => {
      for (const isReading of [true, false]) {
        const port = silent();
        const reader = new Response(port).body!.getReader();
        expect(String(Buffer.from((await reader.read()).value))).to.equal('hi\n');
        const pending = isReading ? reader.read() : undefined;
        await new Promise((resolve) => setImmediate(resolve));
        await reader.cancel();
        expect((await pending)?.done).to.equal(isReading ? true : undefined);
        await closed(port);
        expect(port.signalCode).to.equal('SIGTERM');
      }
    });

    it('a cancelled Readable.toWeb(port)', async () => {
      const port = silent();
      const reader = Readable.toWeb(port).getReader();
      await reader.read();
      await reader.cancel();
      await closed(port);
      expect(port.signalCode).to.equal('SIGTERM');
    });
  });

  it('the iterator of a port that was read to its end ends nothing, and says again that it is done', async () => {
    const port = new PortDuplex(...sh('echo hi'));
    port.write('x');
    const iterator = port[Symbol.asyncIterator]();
    await iterator.next();
    const done = { done: true, value: undefined };
    expect([await iterator.next(), await iterator.next(), await iterator.return!()]).to.deep.equal([done, done, done]);
    expect(port.destroyed).to.equal(false);
    port.end();
    await closed(port);
  });

  describe('a port that nobody writes to closes by itself after a success:', () => {
    const program = (): PortDuplex => new PortDuplex(...sh('echo hi'));

    it('close and finish come', async () => {
      const port = program().resume();
      await Promise.all([once(port, 'finish'), once(port, 'close')]);
      expect(port.exitCode).to.equal(0);
    });

    it('finished() calls back', async () => {
      const port = program().resume();
      await finished(port);
      await closed(port);
    });

    it('Readable.toWeb ends', async () => {
      const port = program();
      expect(await text(Readable.toWeb(port))).to.equal('hi\n');
      await closed(port);
    });

    it('but not one that is piped into, or that an async generator is about to write to', async () => {
      let release!: () => void;
      const gate = new Promise<void>((resolve) => (release = resolve));
      async function* slow(): AsyncGenerator<string> {
        await gate;
        yield 'late';
        yield 'later';
      }
      for (const source of [() => slow(), () => Readable.from(slow())]) {
        const port = program();
        const outcome = pipeline(source, port, new CountingSink());
        await once(port, 'end');
        release();
        await outcome;
        await closed(port);
      }
    });

    it('nor one whose writable web stream is open', async () => {
      const port = program();
      const { readable, writable } = Duplex.toWeb(port);
      const reader = readable.getReader();
      await reader.read();
      if (!port.readableEnded) await once(port, 'end');
      const writer = writable.getWriter();
      await writer.write(Buffer.from('late'));
      await writer.close();
      await closed(port);
    });
  });

  it('takes bytes of another realm, and any view, by write, end and in a pipeline', async () => {
    const foreign = (code: string): unknown => runInNewContext(code);
    const views = [
      foreign('new Uint8Array([65, 66])'),
      foreign('new DataView(new Uint8Array([65, 66, 67]).buffer, 1)'),
      new Uint16Array([0x4444]),
      new DataView(new Uint8Array([69]).buffer),
    ];
    const port = new PortDuplex('cat');
    for (const view of views) port.write(view);
    port.end(foreign('new Uint8Array([70])'));
    expect(await text(port)).to.equal('ABBCDDEF');
    const through = new PortDuplex('cat');
    const output = text(through);
    await pipeline(Readable.from(views), through);
    expect(await output).to.equal('ABBCDDE');
  });

  it('takes the variables on the prototype of env, as spawn does', async () => {
    const env = Object.create({ INHERITED: 'yes' }) as NodeJS.ProcessEnv;
    env['OWN'] = 'too';
    for (const extendEnv of [true, false]) {
      const port = new PortDuplex('/bin/sh', ['-c', 'echo $INHERITED $OWN'], { env, extendEnv, stdin: 'ignore' });
      expect(await text(port)).to.equal('yes too\n');
    }
  });
});
