/**
 * Warm services of others, each in its own words, alone and as a pool whose members are killed at random: each reply is that of
 * its request, or the error says what became of it.
 */
import { EventEmitter, once } from 'node:events';
import { createRequire } from 'node:module';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { expect } from 'chai';
import {
  contentLength,
  incoming,
  jsonRpc,
  lines,
  Port,
  PortPool,
  RexPortError,
  type Incoming,
  type JsonRpcMessage,
  type PortPoolOptions,
  type PortOptions,
  type Protocol,
} from '../../lib/index';
import { watch, type AnyPort } from '../support/ports';
import { stressed } from '../support/stress';

// They are installed beside this file alone, so the checker does not know them.
const modules = path.join(__dirname, 'node_modules');
const load = createRequire(__filename);

type Answer<Reply> = { readonly reply: Reply } | { readonly error: unknown };

/** Asks for all of them, 24 at a time, and kills one of the children after each `killEvery` replies. */
async function askAll<Request, Reply, Event>(
  pool: PortPool<Request, Reply, Event>,
  requests: readonly Request[],
  killEvery: number,
): Promise<{ answers: Answer<Reply>[]; kills: number }> {
  const alive = new Set<number>();
  pool.on('spawn', ({ pid }) => pid !== undefined && alive.add(pid));
  pool.on('exit', ({ pid }) => pid !== undefined && alive.delete(pid));
  const answers: Answer<Reply>[] = [];
  let [next, replies, kills] = [0, 0, 0];
  const worker = async (): Promise<void> => {
    while (next < requests.length) {
      const at = next++;
      try {
        answers[at] = { reply: await pool.request(requests[at]!, { idempotent: true }) };
      } catch (error) {
        answers[at] = { error };
      }
      replies += 1;
      const pids = [...alive];
      if (replies % killEvery !== 0 || pids.length === 0) continue;
      process.kill(pids[Math.floor(Math.random() * pids.length)]!, 'SIGKILL');
      kills += 1;
    }
  };
  await Promise.all(Array.from({ length: 24 }, worker));
  return { answers, kills };
}

/** Each has the reply of its request, or was with two children that were killed. */
function expectAll<Reply>(answers: readonly Answer<Reply>[], expected: (at: number) => Reply): void {
  for (const [at, answer] of answers.entries()) {
    if ('error' in answer) expect(answer.error).to.be.an.instanceOf(RexPortError).with.property('name', 'PoisonError');
    else expect(answer.reply).to.deep.equal(expected(at));
  }
  const poisoned = answers.filter((answer) => 'error' in answer).length;
  expect(poisoned).to.be.below(answers.length / 20);
}

const COUNT = stressed(3000, 300);
const manyLives = {
  size: 3,
  maxInFlight: 8,
  maxRestarts: 1000,
  backoff: { minMs: 1, maxMs: 10 },
} satisfies PortPoolOptions;

describe('esbuild as a warm service', () => {
  type Value = null | boolean | number | string | Uint8Array | Value[] | { [key: string]: Value };

  /** Its own format: a packet is an id, whose lowest bit says that it is a response, and one value. */
  function packet(id: number, isRequest: boolean, value: Value): Buffer {
    const parts: Buffer[] = [u32(id * 2 + (isRequest ? 0 : 1))];
    write(value);
    return Buffer.concat(parts);

    function u32(number: number): Buffer {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32LE(number >>> 0);
      return bytes;
    }
    function text(bytes: Uint8Array): void {
      parts.push(u32(bytes.length), Buffer.from(bytes));
    }
    function write(one: Value): void {
      if (one === null) parts.push(Buffer.from([0]));
      else if (typeof one === 'boolean') parts.push(Buffer.from([1, Number(one)]));
      else if (typeof one === 'number') parts.push(Buffer.from([2]), u32(one));
      else if (typeof one === 'string') {
        parts.push(Buffer.from([3]));
        text(Buffer.from(one));
      } else if (one instanceof Uint8Array) {
        parts.push(Buffer.from([4]));
        text(one);
      } else if (Array.isArray(one)) {
        parts.push(Buffer.from([5]), u32(one.length));
        one.forEach(write);
      } else {
        const entries = Object.entries(one);
        parts.push(Buffer.from([6]), u32(entries.length));
        for (const [key, each] of entries) {
          text(Buffer.from(key));
          write(each);
        }
      }
    }
  }

  function unpack(bytes: Buffer): { id: number; isRequest: boolean; value: Value } {
    let at = 0;
    const u32 = (): number => bytes.readUInt32LE((at += 4) - 4);
    const take = (): Buffer => {
      const length = u32();
      return bytes.subarray(at, (at += length));
    };
    const read = (): Value => {
      switch (bytes[at++]) {
        case 0:
          return null;
        case 1:
          return bytes[at++] === 1;
        case 2:
          return u32() | 0;
        case 3:
          return String(take());
        case 4:
          return take();
        case 5:
          return Array.from({ length: u32() }, read);
        default:
          return Object.fromEntries(Array.from({ length: u32() }, () => [String(take()), read()]));
      }
    };
    const word = u32();
    return { id: word >>> 1, isRequest: (word & 1) === 0, value: read() };
  }

  interface Transformed {
    readonly code: string;
    readonly errors: readonly { readonly text: string }[];
  }
  const pings = new EventEmitter();
  const protocol: Protocol<string, Transformed> = {
    encode: (input, id = 0) =>
      packet(id, true, {
        command: 'transform',
        flags: ['--minify', '--log-level=silent'],
        inputFS: false,
        input: Buffer.from(input),
      }),
    receive(message): Incoming<Transformed> {
      const { id, isRequest, value } = unpack(message);
      if (!isRequest) return incoming.reply(value as unknown as Transformed, id);
      pings.emit('ping');
      return incoming.call(() => packet(id, false, {}));
    },
  };
  const { version } = load('esbuild/package.json') as { version: string };
  const command = path.join(modules, '@esbuild', `${process.platform}-${process.arch}`, 'bin', 'esbuild');
  const args = [`--service=${version}`, '--ping'];
  const greetings: string[] = [];
  const options = {
    prefix: 4,
    endian: 'little',
    protocol,
    start: async (child) => void greetings.push(String(await child.receive())),
  } satisfies PortOptions<string, Transformed>;

  const input = (n: number): string => `let value = ${n}; console.log(value + ${n})`;
  const output = (n: number): string => `let value=${n};console.log(value+${n});\n`;

  it('greets by its version, has 200 transforms in flight, and its pings are answered', async () => {
    greetings.length = 0;
    await using port = new Port<string, Transformed>(command, args, { ...options, maxInFlight: 200 });
    const replies = await Promise.all(Array.from({ length: 200 }, (_, n) => port.request(input(n))));
    expect(replies.map(({ code }) => code)).to.deep.equal(replies.map((_, n) => output(n)));
    expect(greetings).to.deep.equal([version]);
    // one comes each second; it leaves when they are not answered
    for (let count = 0; count < 2; count += 1) await once(pings, 'ping');
    expect((await port.request(input(7))).code).to.equal(output(7));
    expect((await port.request('let 1')).errors.map(({ text }) => text)).to.have.lengthOf(1);
    expect(port.restarts).to.equal(0);
  });

  it(`answers ${COUNT} of ${COUNT} in a pool whose members are killed`, async function () {
    this.timeout(120_000);
    await using pool = new PortPool<string, Transformed>(command, args, { ...options, ...manyLives });
    const { answers, kills } = await askAll(
      pool,
      Array.from({ length: COUNT }, (_, n) => input(n)),
      25,
    );
    const codes = answers.map((answer) => ('reply' in answer ? { reply: answer.reply.code } : answer));
    expectAll(codes, output);
    expect(kills).to.equal(Math.floor(COUNT / 25));
  });
});

describe('a public MCP server', () => {
  const server = path.join(modules, '@modelcontextprotocol', 'server-everything', 'dist', 'index.js');
  interface Result {
    readonly content?: readonly { readonly text: string }[];
    readonly serverInfo?: { readonly name: string };
  }
  const initialized: (string | undefined)[] = [];
  const options = {
    framing: lines(),
    protocol: jsonRpc<Result>({ dialect: 'mcp', onCall: () => ({ roots: [] }) }),
    stderr: 'ignore',
    closeTimeoutMs: 300,
    start: async (child) => {
      const clientInfo = { name: 'rexport', version: '1' };
      const params = { protocolVersion: '2024-11-05', capabilities: {}, clientInfo };
      initialized.push((await child.request({ method: 'initialize', params })).serverInfo?.name);
      child.send({ method: 'notifications/initialized' });
    },
  } satisfies PortOptions<JsonRpcMessage, Result, JsonRpcMessage>;
  const echo = (n: number): JsonRpcMessage => ({
    method: 'tools/call',
    params: { name: 'echo', arguments: { message: `m${n}` } },
  });
  const said = (result: Result): string | undefined => result.content?.[0]?.text;

  it('is initialised again after each restart, and answers by id', async () => {
    initialized.length = 0;
    await using port = new Port<JsonRpcMessage, Result, JsonRpcMessage>(process.execPath, [server], {
      ...options,
      maxInFlight: 16,
    });
    const seen = watch(port as unknown as AnyPort);
    for (let life = 1; life <= 2; life += 1) {
      const replies = await Promise.all(Array.from({ length: 40 }, (_, n) => port.request(echo(n))));
      expect(replies.map(said)).to.deep.equal(replies.map((_, n) => `Echo: m${n}`));
      expect(initialized).to.have.lengthOf(life);
      if (life === 1) {
        port.restart();
        while (!seen.includes('spawn 2')) await new Promise((resolve) => port.once('spawn', resolve));
        while (!seen.includes('exit 1')) await new Promise((resolve) => port.once('exit', resolve));
      }
    }
  });

  it('tells its progress, and an aborted call costs no child', async () => {
    await using port = new Port<JsonRpcMessage, Result, JsonRpcMessage>(process.execPath, [server], {
      ...options,
      maxInFlight: 4,
    });
    const tools = (await port.request({ method: 'tools/list' })) as { tools?: { name: string }[] };
    const long = tools.tools?.map(({ name }) => name).find((name) => /long.?running/i.test(name));
    expect(long).to.be.a('string');
    const progress: unknown[] = [];
    const call = { method: 'tools/call', params: { name: long, arguments: { duration: 0.4, steps: 4 } } };
    expect(said(await port.request(call, { onProgress: (value) => progress.push(value) }))).to.match(/completed/);
    expect(progress.length).to.be.within(3, 4);
    const controller = new AbortController();
    const aborted = port.request(call, { signal: controller.signal }).catch((error: Error) => error);
    controller.abort();
    expect(await aborted).to.have.property('name', 'AbortError');
    expect(said(await port.request(echo(1)))).to.equal('Echo: m1');
    expect(port.restarts).to.equal(0);
  });

  it('loses and crosses nothing in a pool whose members are killed', async function () {
    this.timeout(120_000);
    const pool = new PortPool<JsonRpcMessage, Result, JsonRpcMessage>(process.execPath, [server], {
      ...options,
      ...manyLives,
    });
    const { answers, kills } = await askAll(
      pool,
      Array.from({ length: 200 }, (_, n) => echo(n)),
      50,
    );
    await pool.destroy();
    const texts = answers.map((answer) => ('reply' in answer ? { reply: said(answer.reply) } : answer));
    expectAll(texts, (n) => `Echo: m${n}`);
    expect(kills).to.equal(4);
  });
});

describe('a public language server', () => {
  const server = path.join(modules, '.bin', 'vscode-json-language-server');
  const ended: (number | null)[] = [];
  const options = {
    framing: contentLength(),
    protocol: jsonRpc<unknown>({ dialect: 'lsp', onCall: ({ params }) => itemsOf(params).map(() => ({})) }),
    maxInFlight: 8,
    start: async (child) => {
      const capabilities = { workspace: { configuration: true }, textDocument: { publishDiagnostics: {} } };
      await child.request({ method: 'initialize', params: { processId: process.pid, rootUri: null, capabilities } });
      child.send({ method: 'initialized', params: {} });
    },
    stop: async (child) => {
      await child.request({ method: 'shutdown' });
      child.send({ method: 'exit' });
    },
  } satisfies PortOptions<JsonRpcMessage, unknown, JsonRpcMessage>;

  function itemsOf(params: unknown): readonly unknown[] {
    return (params as { items?: unknown[] } | undefined)?.items ?? [];
  }
  const uri = (n: number): string => pathToFileURL(`/document-${n}.json`).href;
  const open = (n: number): JsonRpcMessage => ({
    method: 'textDocument/didOpen',
    params: { textDocument: { uri: uri(n), languageId: 'json', version: 1, text: `{"key${n}": [1, 2,]}` } },
  });
  const symbols = (n: number): JsonRpcMessage => ({
    method: 'textDocument/documentSymbol',
    params: { textDocument: { uri: uri(n) } },
  });

  it('sends diagnostics as events, answers by id, and leaves with 0 after shutdown and exit', async () => {
    ended.length = 0;
    const port = new Port<JsonRpcMessage, unknown, JsonRpcMessage>(process.execPath, [server, '--stdio'], options);
    port.on('exit', (_child, { exitCode }) => ended.push(exitCode));
    const diagnosed = new Promise<JsonRpcMessage>((resolve) => {
      port.on('message', (event) => event.method === 'textDocument/publishDiagnostics' && resolve(event));
    });
    await port.start();
    await Promise.all(Array.from({ length: 20 }, (_, n) => port.send(open(n))));
    const replies = await Promise.all(Array.from({ length: 20 }, (_, n) => port.request(symbols(n))));
    const names = replies.map((reply) => (reply as { name: string }[]).map(({ name }) => name));
    expect(names).to.deep.equal(names.map((_, n) => [`key${n}`]));
    expect((await diagnosed).params)
      .to.have.property('diagnostics')
      .with.length.above(0);
    await port.close();
    expect(ended).to.deep.equal([0]);
  });
});

describe('public language servers as a pool whose members are killed', () => {
  const DOCUMENTS = 20;
  interface Symbol {
    readonly name: string;
  }

  for (const { language, text, asks, settings } of [
    {
      language: 'json',
      text: (n: number) => `{"name${n}": ${n}}`,
      asks: 'client/registerCapability',
      settings: { json: { format: { enable: true } } },
    },
    {
      language: 'css',
      text: (n: number) => `name${n} { width: ${n}px }`,
      asks: 'workspace/configuration',
      settings: { css: {} },
    },
  ]) {
    it(`loses and crosses nothing, and each child has its own ${asks} answered: ${language}`, async function () {
      this.timeout(120_000);
      const uri = (n: number): string => pathToFileURL(`/document-${n}.${language}`).href;
      const methods = new Set<string>();
      const asking = new Set<string>();
      const exits: (number | null)[] = [];
      const dynamicRegistration = true;
      const pool = new PortPool<JsonRpcMessage, Symbol[], JsonRpcMessage>(
        process.execPath,
        [path.join(modules, '.bin', `vscode-${language}-language-server`), '--stdio'],
        {
          ...manyLives,
          framing: contentLength(),
          protocol: jsonRpc<Symbol[]>({
            dialect: 'lsp',
            onCall: ({ method, params }, { lane, generation }) => {
              methods.add(method);
              asking.add(`${lane}/${generation}`);
              const { items } = params as { readonly items?: readonly unknown[] };
              return items?.map(() => ({}));
            },
          }),
          // what each request relies on: the documents are open in each child
          start: async (child) => {
            const capabilities = {
              workspace: { configuration: true },
              textDocument: { rangeFormatting: { dynamicRegistration }, publishDiagnostics: {} },
            };
            const params = { processId: process.pid, rootUri: null, capabilities };
            await child.request({ method: 'initialize', params });
            child.send({ method: 'initialized', params: {} });
            child.send({ method: 'workspace/didChangeConfiguration', params: { settings } });
            for (let n = 0; n < DOCUMENTS; n += 1) {
              const textDocument = { uri: uri(n), languageId: language, version: 1, text: text(n) };
              child.send({ method: 'textDocument/didOpen', params: { textDocument } });
            }
          },
          stop: async (child) => {
            await child.request({ method: 'shutdown' });
            child.send({ method: 'exit' });
          },
        },
      );
      pool.on('exit', (_child, { exitCode, signal }) => signal === null && exits.push(exitCode));
      const requests = Array.from({ length: 200 }, (_, n): JsonRpcMessage => {
        return { method: 'textDocument/documentSymbol', params: { textDocument: { uri: uri(n % DOCUMENTS) } } };
      });
      const { answers, kills } = await askAll(pool, requests, 50);
      const names = answers.map((answer) => ('reply' in answer ? { reply: answer.reply[0]?.name } : answer));
      expectAll(names, (n) => `name${n % DOCUMENTS}`);
      expect(kills).to.equal(4);
      // one that is closed in the midst of its start leaves without a word
      while (pool.statistics().lanes.some(({ state }) => state !== 'ready')) await delay(10);
      // some look at their documents only after a while
      while (asking.size < manyLives.size) await delay(10);
      await pool.close();
      expect(exits).to.have.length.above(0);
      expect(exits).to.deep.equal(exits.map(() => 0));
      expect([...methods]).to.deep.equal([asks]);
    });
  }
});

describe('the compiler of sass-embedded', () => {
  interface Schema {
    readonly create: (type: unknown, init: object) => unknown;
    readonly toBinary: (type: unknown, message: unknown) => Uint8Array;
    readonly fromBinary: (
      type: unknown,
      bytes: Uint8Array,
    ) => { message: { case: string; value: Record<string, unknown> } };
  }
  const { create, toBinary, fromBinary } = load('@bufbuild/protobuf') as Schema;
  const schema = load(path.join(modules, 'sass-embedded', 'dist', 'lib', 'src', 'vendor', 'embedded_sass_pb.js')) as {
    InboundMessageSchema: unknown;
    OutboundMessageSchema: unknown;
  };
  const folder = path.join(modules, `sass-embedded-${process.platform}-${process.arch}`, 'dart-sass', 'src');
  const [command, args] = [path.join(folder, 'dart'), [path.join(folder, 'sass.snapshot'), '--embedded']] as const;

  /** A compilation's number as a varint, and the message behind it. */
  function packet(id: number, kind: string, value: object): Buffer {
    const message = toBinary(
      schema.InboundMessageSchema,
      create(schema.InboundMessageSchema, { message: { case: kind, value } }),
    );
    const head: number[] = [];
    let rest = id;
    for (; rest > 127; rest = Math.floor(rest / 128)) head.push((rest % 128) + 128);
    head.push(rest);
    return Buffer.concat([Buffer.from(head), message]);
  }
  function unpack(bytes: Buffer): { id: number; kind: string; value: Record<string, unknown> } {
    let [id, at, unit] = [0, 0, 1];
    do {
      id += (bytes[at]! & 127) * unit;
      unit *= 128;
    } while (bytes[at++]! > 127);
    const { message } = fromBinary(schema.OutboundMessageSchema, bytes.subarray(at));
    return { id, kind: message.case, value: message.value };
  }

  const protocol: Protocol<string, string, string> = {
    encode: (source, id = 0) =>
      packet(id, 'compileRequest', {
        style: 1,
        importers: [{ importer: { case: 'importerId', value: 1 } }],
        input: { case: 'string', value: { source, syntax: 0 } },
      }),
    receive(bytes): Incoming<string, string> {
      const { id, kind, value } = unpack(bytes);
      switch (kind) {
        case 'compileResponse': {
          const { result } = value as { result: { case: string; value: { css?: string; message?: string } } };
          if (result.case === 'success') return incoming.reply(result.value.css ?? '', id);
          return incoming.error(new Error(result.value.message), id);
        }
        case 'logEvent':
          return incoming.event(String(value.message));
        case 'canonicalizeRequest':
          return incoming.call(() =>
            packet(id, 'canonicalizeResponse', {
              id: value.id,
              result: { case: 'url', value: `our:${String(value.url)}` },
            }),
          );
        case 'importRequest': {
          const contents = `$color: ${String(value.url).replace('our:', '')};`;
          const success = { contents, syntax: 0 };
          return incoming.call(() =>
            packet(id, 'importResponse', { id: value.id, result: { case: 'success', value: success } }),
          );
        }
        default:
          return incoming.stray();
      }
    },
  };
  const options = { prefix: 'varint', protocol } satisfies PortOptions<string, string, string>;
  const COLOURS = ['red', 'blue', 'tan', 'teal'];
  const source = (n: number): string =>
    `@use "${COLOURS[n % 4]}" as c; @debug "n${n}"; a { width: ${n}px; color: c.$color }`;
  const css = (n: number): string => `a{width:${n}px;color:${COLOURS[n % 4]}}`;

  it('logs between, calls back for imports, and compiles several at once', async function () {
    this.timeout(60_000);
    await using port = new Port<string, string, string>(command, args, { ...options, maxInFlight: 8 });
    const logged: string[] = [];
    port.on('message', (event) => logged.push(event));
    const replies = await Promise.all(Array.from({ length: 40 }, (_, n) => port.request(source(n))));
    expect(replies).to.deep.equal(replies.map((_, n) => css(n)));
    expect(logged.sort()).to.deep.equal(replies.map((_, n) => `n${n}`).sort());
    const error = await port.request('a {').catch((reason: Error) => reason);
    expect(error)
      .to.be.an('error')
      .with.property('message')
      .that.matches(/expected/);
    expect(port.restarts).to.equal(0);
  });

  it('loses and crosses nothing in a pool whose members are killed', async function () {
    this.timeout(120_000);
    await using pool = new PortPool<string, string, string>(command, args, { ...options, ...manyLives });
    const { answers, kills } = await askAll(
      pool,
      Array.from({ length: 200 }, (_, n) => source(n)),
      50,
    );
    expectAll(answers, css);
    expect(kills).to.equal(4);
  });
});
