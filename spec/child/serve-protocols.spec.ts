import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough, type Readable, type Writable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import { expectTypeOf } from 'expect-type';
import {
  contentLength,
  lines,
  servePort,
  type Framing,
  type MessageContext,
  type MessageHandler,
  type UnorderedMessageHandler,
  type UnorderedServePortOptions,
} from '../../lib';
import * as child from '../../lib/child/serve-port';
import { frames, parse, texts, thrownBy } from '../support/frames';
import { requirePrograms, stressed } from '../support/stress';
import { programPath } from '../support/programs';
import { rejection } from '../support/streams';

const upper: MessageHandler = (message) => String(message).toUpperCase();
const entry = JSON.stringify(path.resolve(programPath('served'), '../../../lib/child/serve-port.js'));

function unordered(handler: UnorderedMessageHandler, options: Partial<UnorderedServePortOptions> = {}) {
  const [input, output] = [new PassThrough(), new PassThrough()];
  const done = servePort(handler, { framing: lines(), concurrency: 8, ...options, ordered: false, input, output });
  done.catch(() => undefined);
  return { input, output, done };
}

async function served(framing: Framing, sent: string, onError?: () => string): Promise<string> {
  const [input, output] = [new PassThrough(), new PassThrough()];
  const handler: MessageHandler = (message) => (String(message) === 'two' ? 'a\nb' : upper(message));
  const done = servePort(handler, { framing, input, output, onError });
  input.end(sent);
  const [answered] = await Promise.all([text(output), done]);
  return answered;
}

describe('servePort with a framing', () => {
  it('answers lines by lines', async () => {
    expect(await served(lines(), 'one\n\nthree\r\n')).to.equal('ONE\n\nTHREE\n');
    expect(await served(lines({ delimiter: '\n', writeDelimiter: '\0' }), 'one\ntwo\n')).to.equal('ONE\0a\nb\0');
    expect(await served(lines({ lastLine: 'message' }), 'one\nlast')).to.equal('ONE\nLAST\n');
  });

  it('answers by Content-Length', async () => {
    const block = (message: string): string => `Content-Length: ${message.length}\r\n\r\n${message}`;
    expect(await served(contentLength(), block('one') + block('two') + block(''))).to.equal(
      block('ONE') + block('a\nb') + block(''),
    );
  });

  it('asks onError for another reply where the framing refuses one', async () => {
    expect(await served(lines(), 'one\ntwo\nthree\n', () => 'no line')).to.equal('ONE\nno line\nTHREE\n');
    const failed = await rejection(served(lines(), 'one\ntwo\n'));
    expect(failed).to.include({ code: 'ERR_REXPORT_INVALID_MESSAGE' });
  });

  it('fails for a last line that was cut, after the replies before it', async () => {
    const [input, output] = [new PassThrough(), new PassThrough()];
    const done = servePort(upper, { framing: lines(), input, output });
    input.end('one\ntw');
    const [answered, failed] = await Promise.all([text(output), rejection(done)]);
    expect(answered).to.equal('ONE\n');
    expect(failed).to.include({ code: 'ERR_REXPORT_FRAME_TRUNCATED' });
  });

  it('takes a framing of the user’s own, with a parser and a writer for each call', async () => {
    const made = { parsers: 0, writers: 0 };
    const own: Framing = {
      parser: () => ((made.parsers += 1), lines({ delimiter: ';' }).parser()),
      writer: () => ((made.writers += 1), lines({ delimiter: ';' }).writer()),
    };
    expect(await served(own, 'a;b;')).to.equal('A;B;');
    expect(await served(own, 'c;')).to.equal('C;');
    expect(made).to.deep.equal({ parsers: 2, writers: 2 });
  });

  it('refuses what is no framing, and the options of a length beside one', () => {
    const wrong: [object, string][] = [
      [{ framing: {} }, 'expected `framing` to have the methods parser() and writer(), got {}'],
      [
        { framing: lines(), packet: 2 },
        'expected `framing` without the options of a length prefix, got `packet` beside it',
      ],
      [{ ordered: 1 }, 'expected `ordered` to be true or false, got 1'],
      [{ channel: 'fd5' }, "expected `channel` to be 'stdio' or 'fd3', got 'fd5'"],
    ];
    for (const [options, message] of wrong) {
      expect((thrownBy(() => servePort(upper, options)) as Error).message).to.equal(message);
    }
    const streams = { input: new PassThrough(), output: new PassThrough(), channel: 'fd3' } as const;
    expect((thrownBy(() => servePort(upper, streams)) as Error).message).to.equal(
      'expected `channel` only without `input` and `output`, got both',
    );
  });

  it('is there in rexport/child too, without the rest of the package', async () => {
    expect(await served(child.lines(), 'one\n')).to.equal('ONE\n');
    expect(await served(child.contentLength(), 'Content-Length: 1\r\n\r\na')).to.equal('Content-Length: 1\r\n\r\nA');
    expect(() => child.lines({ delimiter: '' })).to.throw(RangeError);
    expect(() => child.contentLength({ maxMessageBytes: 0 })).to.throw(RangeError);
  });
});

describe('servePort without an order', () => {
  it('sends each reply when it is made, as many in work as asked for', async () => {
    const waiting = new Map<string, (reply: string) => void>();
    const { input, output, done } = unordered(
      (message) => new Promise((resolve) => waiting.set(String(message), resolve)),
      { concurrency: 2 },
    );
    input.end('a\nb\nc\n');
    await turn();
    expect([...waiting.keys()]).to.deep.equal(['a', 'b']);
    waiting.get('b')!('reply to b');
    expect(String(await once(output, 'data'))).to.equal('reply to b\n');
    await turn();
    expect([...waiting.keys()]).to.deep.equal(['a', 'b', 'c']);
    waiting.get('c')!('reply to c');
    expect(String(await once(output, 'data'))).to.equal('reply to c\n');
    waiting.get('a')!('reply to a');
    expect(await text(output)).to.equal('reply to a\n');
    await done;
  });

  it('sends nothing for undefined, of the handler or of onError', async () => {
    const { input, output } = unordered(
      (message) => {
        if (String(message) === 'fail') throw new Error('no');
        return String(message) === 'notify' ? undefined : message;
      },
      { onError: () => undefined },
    );
    input.end('one\nnotify\nfail\ntwo\n');
    expect(await text(output)).to.equal('one\ntwo\n');
  });

  it('has a handler send progress before its reply, and tells it when that has left', async () => {
    const seen: string[] = [];
    const { input, output } = unordered(async (message, { send }) => {
      for (const part of ['half', 'all']) {
        await send(`${String(message)}: ${part}`);
        seen.push(`${String(message)}: ${part} has left`);
      }
      return `${String(message)} is done`;
    });
    input.end('a\n');
    expect(await text(output)).to.equal('a: half\na: all\na is done\n');
    expect(seen).to.deep.equal(['a: half has left', 'a: all has left']);
  });

  it('refuses to send what cannot be framed, and drops what is sent when nobody is there any more', async () => {
    let sendLater: ((message: string) => Promise<void>) | undefined;
    const { input, output, done } = unordered(async (_message, { send }) => {
      sendLater = send;
      const failed = await rejection(send('two\nlines'));
      return (failed as unknown as { code: string }).code;
    });
    input.end('a\n');
    expect(await text(output)).to.equal('ERR_REXPORT_INVALID_MESSAGE\n');
    await done;
    await sendLater!('too late');
    const gone = unordered(async (message, { send }) => {
      gone.output.destroy();
      await send('to nobody');
      return message;
    });
    gone.input.write('a\n');
    await gone.done;
  });

  it('is typed: only such a handler has `send`, or may give no reply', () => {
    expectTypeOf<Parameters<MessageHandler>>().toEqualTypeOf<[message: Buffer]>();
    expectTypeOf<undefined>().not.toExtend<ReturnType<MessageHandler>>();
    expectTypeOf<undefined>().toExtend<ReturnType<UnorderedMessageHandler>>();
    const refused = (): void => {
      // @ts-expect-error a handler that gives no reply needs `ordered: false`
      void servePort(() => undefined, {});
      const inline = servePort(
        (message, { send }) => {
          expectTypeOf(message).toEqualTypeOf<Buffer>();
          expectTypeOf(send).toEqualTypeOf<MessageContext['send']>();
          return undefined;
        },
        { ordered: false },
      );
      void inline;
      void servePort((message) => message, { concurrency: 2 });
    };
    expect(refused).to.be.a('function');
  });
});

describe('servePort on descriptors 3 and 4', () => {
  const echo = `
    const { servePort } = require(${entry});
    const { writeSync } = require('node:fs');
    servePort((message) => {
      console.log('print ' + message.length);
      writeSync(1, 'write ' + message.length + '\\n');
      return message;
    }, { channel: 'fd3', exitGraceMs: 100 });
    if (process.argv[1] === 'keep') setInterval(() => undefined, 1000);
  `;

  // one that nothing keeps leaves without a word over stdio too
  for (const keep of stressed(['', 'keep'], ['keep'])) {
    it(`leaves stdout to prints${keep && ', and leaves after its last reply, though something keeps it'}`, async () => {
      const program = spawn(process.execPath, ['-e', echo, keep], {
        stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe'],
      });
      const [stdout, exited] = [text(program.stdout!), once(program, 'exit')];
      const stderr = text(program.stderr!);
      const large = 'x'.repeat(300_000);
      (program.stdio[3] as Writable).end(frames(['one', '', large]));
      expect(texts(parse([await buffer(program.stdio[4] as Readable)]))).to.deep.equal(['one', '', large]);
      expect(await exited).to.deep.equal([0, null]);
      const printed = [3, 0, 300_000].map((length) => `print ${length}\nwrite ${length}\n`).join('');
      expect(await stdout).to.equal(printed);
      expect(await stderr).to.match(keep === '' ? /^$/ : /^rexport: this process leaves 100 ms/);
    });
  }

  it('works where they are files', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'rexport-fd3-'));
    const [from, to] = [path.join(folder, 'in'), path.join(folder, 'out')];
    writeFileSync(from, frames(['one', 'two']));
    const fds = [openSync(from, 'r'), openSync(to, 'w')];
    const { status, stderr } = spawnSync(process.execPath, ['-e', echo], {
      stdio: ['ignore', 'pipe', 'pipe', ...fds],
      encoding: 'utf8',
    });
    for (const fd of fds) closeSync(fd);
    expect([status, stderr]).to.deep.equal([0, '']);
    expect(texts(parse([readFileSync(to)]))).to.deep.equal(['one', 'two']);
    rmSync(folder, { recursive: true });
  });

  it('says that they are not open where the host does not know of them', () => {
    const { status, stderr } = spawnSync('sh', ['-c', '"$0" "$@" 3<&- 4<&-', process.execPath, '-e', echo], {
      encoding: 'utf8',
    });
    expect(status).to.equal(1);
    expect(stderr).to.include(
      "expected descriptor 3 to be open: the host starts this program with `channel: 'fd3'`, or opens 3 and 4",
    );
  });

  it('is known to the model child in Python', async function () {
    requirePrograms(this, 'python3');
    const file = path.join(__dirname, '..', '..', 'examples', 'children', 'child.py');
    await answersOn34(['python3', file, 'fd3']);
  });

  it('is known to the model child in C', async function () {
    requirePrograms(this, 'cc');
    const folder = mkdtempSync(path.join(tmpdir(), 'rexport-fd3-'));
    const [source, program] = [path.join(__dirname, '../../examples/children/child.c'), path.join(folder, 'child')];
    const { status, stderr } = spawnSync('cc', ['-Wall', '-Wextra', '-Werror', '-o', program, source], {
      encoding: 'utf8',
    });
    expect(status, stderr).to.equal(0);
    await answersOn34([program, 'fd3']);
    rmSync(folder, { recursive: true });
  });
});

async function answersOn34([command, ...args]: [string, ...string[]]): Promise<void> {
  const program = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit', 'pipe', 'pipe'] });
  const [stdout, exited] = [text(program.stdout!), once(program, 'exit')];
  (program.stdio[3] as Writable).end(frames(['one', '', 'x'.repeat(100_000)]));
  expect(texts(parse([await buffer(program.stdio[4] as Readable)]))).to.deep.equal(['one', '', 'x'.repeat(100_000)]);
  expect(await exited).to.deep.equal([0, null]);
  expect(await stdout).to.equal('');
}
