import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import path from 'node:path';
import { PassThrough, Readable, Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import { encodeFrame, servePort, type MessageHandler, type ServePortOptions } from '../../lib';
import { FORMATS, cutEvery, frames, parse, pattern, texts, thrownBy } from '../support/frames';
import { programPath } from '../support/programs';
import { ProcessEvents } from '../support/process-events';
import { namesUnder } from '../support/pages';
import { rejection } from '../support/streams';
import { stressed } from '../support/stress';

const KIB = 1024;
const upper: MessageHandler = (message) => String(message).toUpperCase();

/** A pair of streams that are served, and what came back. */
function serving(handler: MessageHandler, options: ServePortOptions = {}) {
  const input = new PassThrough();
  const output = new PassThrough();
  const done = servePort(handler, { ...options, input, output });
  // who looks at the outcome does so later
  done.catch(() => undefined);
  const { packet, prefix, endian, lengthIncludesPrefix } = options;
  const format = { packet, prefix, endian, lengthIncludesPrefix };
  return {
    input,
    output,
    done,
    send: (...messages: (string | Buffer)[]) => input.write(frames(messages, format)),
    replies: async () => texts(parse([await buffer(output)], format)),
  };
}

/** Promises that are settled by hand, by message. */
class Slow {
  readonly begun: string[] = [];
  readonly #waiting = new Map<string, (reply: string) => void>();

  readonly handler: MessageHandler = (message) => {
    this.begun.push(String(message));
    return new Promise((resolve) => this.#waiting.set(String(message), resolve));
  };

  answer(...messages: string[]): void {
    for (const message of messages) this.#waiting.get(message)!(message.toUpperCase());
  }
}

describe('servePort over any pair of streams', () => {
  it('answers each message, in order, and ends the output after the last reply', async () => {
    const { input, send, replies, done } = serving(async (message) => `${String(message)}!`);
    send('one', '', 'two');
    input.end();
    expect(await replies()).to.deep.equal(['one!', '!', 'two!']);
    await done;
    expect(input.destroyed).to.equal(true);
  });

  it('takes what a handler returns: text, a Buffer, another view, or a promise of one', async () => {
    const answers = ['é', Buffer.from([0xff]), new Uint16Array([1]), Promise.resolve('later')];
    const { input, output, send } = serving(() => answers.shift()!);
    send('1', '2', '3', '4');
    input.end();
    expect(parse([await buffer(output)]).map((reply) => reply.toString('hex'))).to.deep.equal([
      'c3a9',
      'ff',
      '0100',
      Buffer.from('later').toString('hex'),
    ]);
  });

  for (const format of FORMATS) {
    it(`speaks ${JSON.stringify(format)}`, async () => {
      const { input, send, replies } = serving(upper, format);
      send('one', '', 'x'.repeat(200));
      input.end();
      expect(await replies()).to.deep.equal(['ONE', '', 'X'.repeat(200)]);
    });
  }

  it('gives the same messages however the bytes are cut', async () => {
    const { input, replies } = serving(upper);
    for (const chunk of cutEvery(frames(['one', '', 'x'.repeat(300)]), 1)) input.write(chunk);
    input.end();
    expect(await replies()).to.deep.equal(['ONE', '', 'X'.repeat(300)]);
  });

  it('does with an input that has ended, or was destroyed, before the call', async () => {
    for (const how of ['end', 'destroy'] as const) {
      const input = new PassThrough();
      input.resume()[how]();
      await once(input, 'close');
      const output = new PassThrough();
      await servePort(upper, { input, output });
      expect(output.writableEnded, how).to.equal(true);
    }
  });

  it('serves a socket: answers behind the half-close, then ends it', async () => {
    const served: Promise<void>[] = [];
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      served.push(servePort(upper, { input: socket, output: socket }));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    socket.end(frames(['over', 'tcp']));
    expect(texts(parse([await buffer(socket)]))).to.deep.equal(['OVER', 'TCP']);
    await Promise.all(served);
    server.close();
    await once(server, 'close');
  });

  describe('concurrency', () => {
    it('is 1 by default: the next message is begun after the reply', async () => {
      const slow = new Slow();
      const { input, send, replies } = serving(slow.handler);
      send('a', 'b');
      await turn();
      expect(slow.begun).to.deep.equal(['a']);
      slow.answer('a');
      await turn();
      expect(slow.begun).to.deep.equal(['a', 'b']);
      slow.answer('b');
      input.end();
      expect(await replies()).to.deep.equal(['A', 'B']);
    });

    it('keeps the order of the messages, whichever is done first', async () => {
      const slow = new Slow();
      const { input, output, send, replies } = serving(slow.handler, { concurrency: 3 });
      send('a', 'b', 'c', 'd');
      await turn();
      expect(slow.begun).to.deep.equal(['a', 'b', 'c']);
      slow.answer('c', 'b');
      await turn();
      expect(slow.begun).to.deep.equal(['a', 'b', 'c', 'd']);
      expect(output.readableLength).to.equal(0);
      slow.answer('d', 'a');
      input.end();
      expect(await replies()).to.deep.equal(['A', 'B', 'C', 'D']);
    });

    it('lets only a bounded number of replies wait for an earlier one', async () => {
      const slow = new Slow();
      const messages = Array.from({ length: 100 }, (_, n) => `${n}`);
      const { input, send, replies } = serving(slow.handler, { concurrency: 2 });
      send(...messages);
      await turn();
      for (let n = 1; n < slow.begun.length; n++) {
        slow.answer(`${n}`);
        await turn();
      }
      expect(slow.begun).to.have.length(32);
      const rest = replies();
      slow.answer('0');
      await turn();
      for (let n = 32; n < slow.begun.length; n++) {
        slow.answer(`${n}`);
        await turn();
      }
      input.end();
      expect(await rest).to.deep.equal(messages);
    });
  });

  describe('back-pressure', () => {
    it('begins no more messages while 64 KiB of replies wait for the host, and goes on when it reads', async () => {
      let begun = 0;
      const input = new PassThrough();
      let taken: (() => void) | undefined;
      const chunks: Buffer[] = [];
      const output = new Writable({
        write: (chunk: Buffer, _encoding, callback) => {
          chunks.push(chunk);
          taken = callback;
        },
      });
      const handler = (): Buffer => {
        begun += 1;
        return pattern(40 * KIB);
      };
      const done = servePort(handler, { input, output, concurrency: 8 });
      input.end(frames(Array<string>(100).fill('')));
      await turn();
      await turn();
      // eight were begun together; of those behind them, two fill what may wait
      expect(begun).to.be.within(8, 10);
      while (!output.writableFinished) {
        taken?.();
        await turn();
      }
      await done;
      expect(begun).to.equal(100);
      expect(parse(chunks)).to.have.length(100);
    });

    it('reads no further while messages wait', async () => {
      const slow = new Slow();
      const { input, replies } = serving(slow.handler);
      const messages = Array.from({ length: 300 }, (_, n) => `${n} ${'x'.repeat(KIB)}`);
      for (const message of messages) input.write(encodeFrame(message));
      input.end();
      await turn();
      expect(input.readableLength + input.writableLength).to.be.above(250 * KIB);
      const all = replies();
      for (const message of messages) {
        slow.answer(message);
        await turn();
      }
      expect(await all).to.have.length(300);
    });
  });

  describe('failures', () => {
    it('reject with what the handler threw, after the replies before it, which ends both streams', async () => {
      const thrown = new Error('cannot stand it');
      const { input, output, send, done } = serving((message) => {
        if (String(message) === 'bad') throw thrown;
        return message;
      });
      const chunks: Buffer[] = [];
      output.on('data', (chunk: Buffer) => chunks.push(chunk));
      send('one', 'bad', 'two');
      expect(await rejection(done)).to.equal(thrown);
      expect(texts(parse(chunks))).to.deep.equal(['one']);
      expect([input.destroyed, output.writableFinished]).to.deep.equal([true, true]);
    });

    it('of a message behind one that is still with the handler wait for its reply', async () => {
      const slow = new Slow();
      const handler: MessageHandler = (message) =>
        String(message) === 'bad' ? Promise.reject(new Error('bad')) : slow.handler(message);
      const { output, send, done } = serving(handler, { concurrency: 3 });
      const chunks: Buffer[] = [];
      output.on('data', (chunk: Buffer) => chunks.push(chunk));
      send('a', 'bad', 'b', 'c');
      await turn();
      expect(slow.begun).to.deep.equal(['a', 'b']);
      slow.answer('a');
      expect((await rejection(done)).message).to.equal('bad');
      expect(texts(parse(chunks))).to.deep.equal(['A']);
    });

    const replies: [title: string, reply: unknown, options: ServePortOptions, error: string][] = [
      [
        'nothing',
        undefined,
        {},
        'expected a message to be a string, a Buffer or another view, got a value of type undefined',
      ],
      [
        'an object',
        { a: 1 },
        {},
        'expected a message to be a string, a Buffer or another view, got a value of type Object',
      ],
      [
        'more than the format can say',
        'x'.repeat(256),
        { packet: 1 },
        'the message has 256 bytes; the limit (`maxMessageBytes`) is 255',
      ],
    ];
    for (const [title, reply, options, error] of replies) {
      it(`a reply that is ${title} is one`, async () => {
        const { send, done } = serving(() => reply as string, options);
        send('x');
        expect((await rejection(done)).message).to.equal(error);
      });

      it(`onError answers in the place of ${title}`, async () => {
        const onError: ServePortOptions['onError'] = (failure, message) =>
          `${String(message)}: ${(failure as Error).message.slice(0, 10)}`;
        const { input, send, replies: all } = serving(() => reply as string, { ...options, onError });
        send('x', 'y');
        input.end();
        expect(await all()).to.deep.equal([`x: ${error.slice(0, 10)}`, `y: ${error.slice(0, 10)}`]);
      });
    }

    it('onError may take its time, and keeps the order', async () => {
      const {
        input,
        send,
        replies: all,
      } = serving(
        (message) => {
          if (String(message) === 'bad') throw new Error('bad');
          return message;
        },
        { concurrency: 4, onError: async (error) => delay(5, (error as Error).message.toUpperCase()) },
      );
      send('one', 'bad', 'two');
      input.end();
      expect(await all()).to.deep.equal(['one', 'BAD', 'two']);
    });

    it('of onError itself end the serving', async () => {
      const { send, done } = serving(
        () => {
          throw new Error('first');
        },
        {
          onError: () => {
            throw new Error('second');
          },
        },
      );
      send('x');
      expect((await rejection(done)).message).to.equal('second');
    });

    it('an input that is no frames, or ends inside one, is one, after the replies before it', async () => {
      const cases: [string, Buffer, string][] = [
        ['text', Buffer.from('Hello'), 'ERR_REXPORT_MESSAGE_TOO_LARGE'],
        ['cut', encodeFrame('cut').subarray(0, 6), 'ERR_REXPORT_FRAME_TRUNCATED'],
      ];
      for (const [title, rest, code] of cases) {
        const { input, output, done } = serving(async (message) => message);
        const chunks: Buffer[] = [];
        output.on('data', (chunk: Buffer) => chunks.push(chunk));
        input.end(Buffer.concat([encodeFrame('whole'), rest]));
        expect((await rejection(done)).code, title).to.equal(code);
        expect(texts(parse(chunks)), title).to.deep.equal(['whole']);
      }
    });

    it('of the streams are told, but for one whose other end is gone', async () => {
      const broken = serving(upper);
      broken.output.destroy(new Error('no space left'));
      expect((await rejection(broken.done)).message).to.equal('no space left');
      const reset = serving(upper);
      reset.input.destroy(Object.assign(new Error('reset'), { code: 'ECONNRESET' }));
      await reset.done;
    });

    it('a host that reads no more is none: what the handler has is waited for, the rest is not begun', async () => {
      const events = new ProcessEvents();
      const slow = new Slow();
      const { input, output, send, done } = serving(slow.handler);
      send('a', 'b');
      await turn();
      output.destroy();
      await turn();
      slow.answer('a');
      await done;
      expect(slow.begun).to.deep.equal(['a']);
      expect(input.destroyed).to.equal(true);
      expect(await events.stop()).to.deep.equal([]);
    });
  });

  describe('user code that calls back', () => {
    it('a handler may bring the next message while it is called, thousands of times', async () => {
      const last = stressed(20_000, 2000);
      const input = new Readable({ read: () => undefined });
      const output = new PassThrough();
      const handler: MessageHandler = (message) => {
        const next = Number(String(message)) + 1;
        input.push(next > last ? null : encodeFrame(`${next}`));
        return message;
      };
      const done = servePort(handler, { input, output, concurrency: 100_000 });
      input.push(encodeFrame('1'));
      const replies = texts(parse([await buffer(output)]));
      await done;
      expect(replies).to.deep.equal(Array.from({ length: last }, (_, n) => `${n + 1}`));
    });

    it('a handler or onError may fire the signal, or destroy either stream, while it is called', async () => {
      for (const act of ['abort', 'destroy input', 'destroy output', 'end output'] as const) {
        for (const where of ['handler', 'onError'] as const) {
          const abort = new AbortController();
          const acted = (message: Buffer): Buffer => {
            if (String(message) !== 'two') return message;
            if (act === 'abort') abort.abort();
            else if (act === 'destroy input') input.destroy();
            else if (act === 'destroy output') output.destroy();
            else output.end();
            return message;
          };
          const handler: MessageHandler = (message) => {
            if (where === 'handler') return acted(message);
            throw new Error('no');
          };
          const { input, output, done, send } = serving(handler, {
            signal: abort.signal,
            ...(where === 'onError' && { onError: (_error, message) => acted(message) }),
          });
          const chunks: Buffer[] = [];
          output.on('data', (chunk: Buffer) => chunks.push(chunk));
          send('one', 'two', 'three', 'four');
          const outcome = await done.then(
            () => 'done',
            (error: NodeJS.ErrnoException) => error.code,
          );
          const title = `${act} in ${where}`;
          expect(outcome, title).to.equal('done');
          const replies = texts(parse(chunks));
          expect(replies, title).to.deep.equal(['one', 'two', 'three', 'four'].slice(0, replies.length));
          if (act === 'abort') expect(replies, title).to.deep.equal(['one', 'two']);
        }
      }
    });
  });

  describe('user code that throws', () => {
    it('a stream whose write throws is a failure, and the promise rejects with it', async () => {
      const input = new PassThrough();
      const output = new Writable({
        write: () => {
          throw new Error('the disk is gone');
        },
      });
      const done = servePort(upper, { input, output });
      input.write(frames(['one', 'two']));
      expect((await rejection(done)).message).to.equal('the disk is gone');
      expect(input.destroyed).to.equal(true);
    });

    it('a promise whose `then` throws is a failure of its message', async () => {
      const handler: MessageHandler = () => ({
        then: () => {
          throw new Error('no promise');
        },
      });
      const { input, send, replies } = serving(handler, { onError: (error) => (error as Error).message });
      send('x');
      input.end();
      expect(await replies()).to.deep.equal(['no promise']);
    });

    it('a reply whose memory is gone is answered by onError in its place, also when it waited for an earlier one', async () => {
      const slow = new Slow();
      const handler: MessageHandler = (message) => {
        if (String(message) !== 'gone') return slow.handler(message);
        const reply = Buffer.from(new ArrayBuffer(8));
        void turn().then(() => structuredClone(reply.buffer, { transfer: [reply.buffer] }));
        return reply;
      };
      const onError: ServePortOptions['onError'] = (error, message) =>
        `${String(message)}: ${(error as { code: string }).code}`;
      const { input, send, replies } = serving(handler, { onError, concurrency: 3 });
      send('a', 'gone', 'b');
      input.end();
      await turn();
      await turn();
      slow.answer('b', 'a');
      expect(await replies()).to.deep.equal(['A', 'gone: ERR_REXPORT_INVALID_MESSAGE', 'B']);
    });

    it('a reply whose memory is gone ends the serving where nothing answers instead', async () => {
      const { send, done } = serving(() => {
        const reply = Buffer.from(new ArrayBuffer(8));
        structuredClone(reply.buffer, { transfer: [reply.buffer] });
        return reply;
      });
      send('a');
      expect(await rejection(done)).to.include({ code: 'ERR_REXPORT_INVALID_MESSAGE' });
    });
  });

  describe('the promise', () => {
    it('keeps the process until it settles, though neither stream would', () => {
      const source = `
        const { servePort } = require(${JSON.stringify(path.resolve(programPath('served'), '../../../lib/child/serve-port.js'))});
        const { PassThrough } = require('node:stream');
        const [input, output] = [new PassThrough(), new PassThrough()];
        setTimeout(() => input.end(), 200).unref();
        servePort((message) => message, { input, output }).then(() => console.log('done'));
      `;
      const { status, stdout, stderr } = spawnSync(process.execPath, ['-e', source], { encoding: 'utf8' });
      expect([status, stdout, stderr]).to.deep.equal([0, 'done\n', '']);
    });
  });

  describe('signal', () => {
    it('stops: what the handler has is answered, the rest is not begun', async () => {
      const slow = new Slow();
      const abort = new AbortController();
      const { send, replies, done } = serving(slow.handler, { signal: abort.signal });
      send('a', 'b');
      await turn();
      abort.abort();
      slow.answer('a');
      expect(await replies()).to.deep.equal(['A']);
      await done;
      expect(slow.begun).to.deep.equal(['a']);
    });

    it('that has fired already begins nothing; one that many share gets no warning and keeps no listener', async () => {
      const events = new ProcessEvents();
      const abort = new AbortController();
      const all = Array.from({ length: 20 }, () => serving(upper, { signal: abort.signal }));
      abort.abort();
      await Promise.all(all.map(({ done }) => done));
      const late = serving(upper, { signal: abort.signal });
      late.send('x');
      await late.done;
      expect(late.output.readableLength).to.equal(0);
      expect(await events.stop()).to.deep.equal([]);
    });
  });

  describe('arguments', () => {
    it('are all on the page about writing a child', () => {
      const named = namesUnder('docs/writing-a-child.md', 'Options of servePort');
      const { message } = thrownBy(() => servePort(upper, { 'no option': 1 } as object)) as Error;
      expect(named.map((name) => ` ${name},`).filter((name) => !message.includes(name))).to.deep.equal([]);
      expect(named).to.have.length(9);
    });

    const input = new PassThrough();
    const wrong: [unknown, unknown, string][] = [
      ['no function', {}, "expected the handler to be a function, got 'no function'"],
      [upper, { input }, 'expected `input` and `output` together, got only `input`'],
      [upper, { output: input }, 'expected `input` and `output` together, got only `output`'],
      [upper, { input: 1, output: input }, 'expected `input` to be a readable stream, got 1'],
      [upper, { input, output: 1 }, 'expected `output` to be a writable stream, got 1'],
      [upper, { concurrency: 0 }, 'expected `concurrency` to be an integer from 1 to 9007199254740991, got 0'],
      [upper, { packet: 3 }, 'expected `packet` to be 1, 2 or 4, got 3'],
      [upper, { onError: 1 }, 'expected `onError` to be a function, got 1'],
      [upper, { exitGraceMs: -1 }, 'expected `exitGraceMs` to be an integer from 0 to 2147483647, got -1'],
      [
        upper,
        { input, output: input, exitGraceMs: 1 },
        'expected `exitGraceMs` only without `input` and `output`, got both',
      ],
      [upper, { signal: 1 }, 'expected `signal` to be an AbortSignal, got 1'],
      [
        upper,
        { encoding: 'utf8' },
        'expected the options of servePort to be among input, output, concurrency, onError, signal, exitGraceMs, framing, ordered, channel, packet, prefix, endian, lengthIncludesPrefix, maxMessageBytes, got `encoding`',
      ],
    ];
    for (const [handler, options, message] of wrong) {
      it(message, () => {
        const error = thrownBy(() => servePort(handler as MessageHandler, options as ServePortOptions));
        expect((error as Error).message).to.equal(message);
        // nothing was taken over
        expect(Object.hasOwn(process.stdout, 'end')).to.equal(false);
      });
    }
  });
});
