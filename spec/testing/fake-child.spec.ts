import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import { contentLength, ExitError, json, jsonRpc, lines, Port, type JsonRpcMessage } from '../../lib';
import { crash, fakeChild } from '../../lib/testing/fake-child';
import { ask, watch } from '../support/ports';
import { programPath } from '../support/programs';
import { rejection } from '../support/streams';

describe('a Port with a fake child', () => {
  it('refuses what is no function, at once', () => {
    for (const handler of [undefined, null, 'upper', {}]) {
      expect(() => fakeChild(handler as () => string)).to.throw(
        TypeError,
        /^expected the handler of fakeChild to be a function, got /,
      );
    }
  });

  it('does not keep the process while the port is idle', () => {
    const lib = path.resolve(programPath('served'), '../../../lib');
    const source = `
      const { Port } = require(${JSON.stringify(path.join(lib, 'index.js'))});
      const { fakeChild } = require(${JSON.stringify(path.join(lib, 'testing', 'fake-child.js'))});
      const port = new Port('worker', { ...fakeChild((message) => message) });
      port.request('one').then((reply) => console.log(String(reply)));
    `;
    const { status, stdout } = spawnSync(process.execPath, ['-e', source], { encoding: 'utf8', timeout: 10_000 });
    expect([status, stdout]).to.deep.equal([0, 'one\n']);
  });

  it('answers with what the function gives, and starts no process', async () => {
    await using port = new Port('worker', ['any'], { ...fakeChild((message) => String(message).toUpperCase()) });
    const seen = watch(port);
    expect(await Promise.all(['one', '', 'x'.repeat(100_000)].map((message) => ask(port, message)))).to.deep.equal([
      'ONE',
      '',
      'X'.repeat(100_000),
    ]);
    expect(seen).to.deep.equal(['spawn 1']);
    await port.close();
    expect(seen).to.deep.equal(['spawn 1', 'exit 1']);
    expect(port.state).to.equal('closed');
  });

  it('has the options of a port: another packet, a codec, more in flight', async () => {
    const double = (message: Buffer): string =>
      JSON.stringify({ n: (JSON.parse(String(message)) as { n: number }).n * 2 });
    await using port = new Port<{ n: number }, { n: number }>('worker', {
      ...fakeChild(double),
      ...json,
      packet: 2,
      maxInFlight: 8,
    });
    const replies = await Promise.all([1, 2, 3].map((n) => port.request({ n })));
    expect(replies).to.deep.equal([{ n: 2 }, { n: 4 }, { n: 6 }]);
  });

  it('speaks the framing of its port', async () => {
    const upper = (message: Buffer): string => String(message).toUpperCase();
    for (const framing of [lines(), contentLength()]) {
      await using port = new Port('worker', { ...fakeChild(upper), framing, maxInFlight: 4 });
      expect(await Promise.all(['one', '', 'two'].map((message) => ask(port, message)))).to.deep.equal([
        'ONE',
        '',
        'TWO',
      ]);
    }
  });

  it('takes a script', async () => {
    const script = ['first', () => crash({ exitCode: 3, stderr: 'out of memory\n' }), 'second'];
    const next = (): string => {
      const step = script.shift()!;
      return typeof step === 'string' ? step : step();
    };
    await using port = new Port('worker', { ...fakeChild(next) });
    const seen = watch(port);
    expect(await ask(port, 'a')).to.equal('first');
    const error = await rejection(ask(port, 'b'));
    expect(error).to.be.instanceOf(ExitError).and.include({ exitCode: 3, signal: null, stderrTail: 'out of memory\n' });
    expect(error.message).to.match(/^worker exited with code 3 after \d+ ms; its stderr:\nout of memory$/);
    expect(await ask(port, 'c')).to.equal('second');
    expect(seen).to.deep.equal(['spawn 1', 'exit 1', 'restart 2', 'spawn 2']);
    expect(port.restarts).to.equal(1);
  });

  it('dies of a throw with code 1 and the error on stderr, after the replies before it; of a signal, if so asked', async () => {
    const answers: (() => string)[] = [
      () => 'before',
      () => {
        throw new Error('cannot stand it');
      },
      () => crash({ signal: 'SIGKILL' }),
    ];
    await using port = new Port('worker', { ...fakeChild(() => answers.shift()!()), maxInFlight: 2 });
    const [before, failed] = [ask(port, 'a'), rejection(ask(port, 'b'))];
    expect(await before).to.equal('before');
    const error = (await failed) as ExitError;
    expect(error.exitCode).to.equal(1);
    expect(error.stderrTail).to.match(/^Error: cannot stand it\n/);
    expect(await rejection(ask(port, 'c'))).to.include({ exitCode: null, signal: 'SIGKILL' });
  });

  it('may be slow: deadlines are real, and cost the child', async () => {
    await using port = new Port('worker', {
      ...fakeChild((message) => (String(message) === 'slow' ? delay(500, 'late', { ref: false }) : message)),
    });
    const seen = watch(port);
    expect(await ask(port, 'warm')).to.equal('warm');
    expect(await rejection(ask(port, 'slow', { timeoutMs: 30 }))).to.include({
      code: 'ERR_REXPORT_TIMEOUT',
      phase: 'header',
    });
    expect(await ask(port, 'quick')).to.equal('quick');
    expect(seen).to.deep.equal(['spawn 1', 'restart 2', 'exit 1', 'spawn 2']);
  });

  it('that dies again and again breaks the port', async () => {
    await using port = new Port('worker', { ...fakeChild(() => crash()), maxRestarts: 2, backoff: { maxMs: 1 } });
    for (let n = 0; n < 3; n++) expect(await rejection(ask(port, 'x'))).to.include({ code: 'ERR_REXPORT_EXIT' });
    expect((await rejection(ask(port, 'x'))).message).to.match(/^worker was given up after 2 restarts in 30000 ms: /);
    expect(port.state).to.equal('broken');
  });

  it('is a stage of a pipeline, with dead letters', async () => {
    await using port = new Port('worker', {
      ...fakeChild((message) => (String(message) === 'bad' ? crash() : String(message).toUpperCase())),
    });
    const replies: string[] = [];
    await pipeline(
      Readable.from(['one', 'bad', 'two']),
      port.transform({ onError: (_error, message) => Buffer.from(`dead: ${message as string}`) }),
      async (all: AsyncIterable<Buffer>) => {
        for await (const reply of all) replies.push(String(reply));
      },
    );
    expect(replies).to.deep.equal(['ONE', 'dead: bad', 'TWO']);
  });

  it('refuses a wrong option, at once', () => {
    const wrong = (options: object) => () => fakeChild(String, options);
    expect(wrong({ concurrency: 0 })).to.throw(RangeError, /`concurrency`/);
    expect(wrong({ ordered: 'no' })).to.throw(TypeError, /`ordered`/);
    expect(wrong({ inOrder: true })).to.throw(TypeError, /`inOrder`/);
  });

  it('works on several messages at a time, and answers in their order, where concurrency says so', async () => {
    let [running, most] = [0, 0];
    const handler = async (message: Buffer): Promise<string> => {
      most = Math.max(most, (running += 1));
      await delay(message.length === 1 ? 30 : 1);
      running -= 1;
      return String(message);
    };
    await using port = new Port('worker', { ...fakeChild(handler, { concurrency: 2 }), maxInFlight: 3 });
    const settled: string[] = [];
    const requests = ['a', 'bb', 'cc'].map((text) => ask(port, text).then((reply) => settled.push(reply)));
    await Promise.all(requests);
    expect([settled, most]).to.deep.equal([['a', 'bb', 'cc'], 2]);
  });

  it('answers by id in an order of its own, and sends events, where it is not ordered', async () => {
    interface Call {
      readonly id?: number;
      readonly method: string;
    }
    const held: (() => void)[] = [];
    const server = fakeChild(
      async (message, { send }) => {
        const { id, method } = JSON.parse(String(message)) as Call;
        if (id === undefined) return undefined;
        await send(JSON.stringify({ jsonrpc: '2.0', method: 'seen', params: method }));
        if (method === 'release') for (const answer of held.splice(0)) answer();
        else await new Promise<void>((answer) => held.unshift(answer));
        return JSON.stringify({ jsonrpc: '2.0', id, result: method });
      },
      { concurrency: 8, ordered: false },
    );
    await using port = new Port<JsonRpcMessage, unknown, JsonRpcMessage>('server', {
      ...server,
      framing: lines(),
      protocol: jsonRpc(),
      maxInFlight: 8,
    });
    const [events, settled]: [unknown[], unknown[]] = [[], []];
    port.on('message', ({ params }) => events.push(params));
    await port.send({ method: 'told' });
    const methods = ['one', 'two', 'three', 'release'];
    await Promise.all(methods.map((method) => port.request({ method }).then((reply) => settled.push(reply))));
    expect(settled.toSorted()).to.deep.equal(methods.toSorted());
    expect(settled.filter((method) => method !== 'release')).to.deep.equal(['three', 'two', 'one']);
    expect(events).to.deep.equal(methods);
  });

  it('is ended by destroy(), also before it was there, and with a request in it', async () => {
    const early = new Port('worker', { ...fakeChild(String) });
    const refused = rejection(ask(early, 'x'));
    await early.destroy();
    expect(await refused).to.include({ code: 'ERR_REXPORT_CLOSED' });

    const port = new Port('worker', { ...fakeChild(() => new Promise<string>(() => undefined)) });
    const statuses: unknown[] = [];
    port.on('exit', (_child, { signal }) => statuses.push(signal));
    const cut = rejection(ask(port, 'x'));
    await new Promise((resolve) => port.once('spawn', resolve));
    await port.destroy();
    expect(await cut).to.include({ code: 'ERR_REXPORT_CLOSED' });
    expect(statuses).to.deep.equal(['SIGTERM']);
  });
});
