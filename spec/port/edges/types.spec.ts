/** What the checker says of ports: each case is a module that is compiled with this repository's settings. */
import path from 'node:path';
import { expect } from 'chai';
import ts from 'typescript';

const repository = path.join(__dirname, '..', '..', '..');
const HEAD = `
import { Duplex, Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Port, PortPool, json, TimeoutError, ExitError, BrokenError, type RexPortError, type PortOptions, type RequestTransform } from './lib';
interface Row { id: number }
interface Score { score: number }
declare const row: Row;
type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function same<A, B>(_isSame: Equal<A, B>): void {}
export { Duplex, Readable, Writable, pipeline, Port, PortPool, json, TimeoutError, ExitError, BrokenError, row, same };
export type { RexPortError, PortOptions, RequestTransform, Score };
`;

/** What must compile, by what it says. */
const right: Record<string, string> = {
  'a Port without types takes messages and gives Buffers': `
    const port = new Port('x');
    const reply = await port.request('a');
    same<typeof reply, Buffer>(true);
    await port.request(new Uint8Array(3), { timeoutMs: 5, runTimeoutMs: 5, idempotent: true });`,
  'a Port with types and a codec, in both forms of the constructor': `
    const port = new Port<Row, Score>('x', { ...json });
    const reply = await port.request(row);
    same<typeof reply, Score>(true);
    new Port<Row, Score>('x', ['arg'], { ...json, maxInFlight: 3 });
    new PortPool<Row, Score>('x', { ...json, size: 2 });
    new PortPool<Row, Score>('x', [], { encode: (r: Row) => String(r.id), decode: (m: Buffer) => ({ score: m.length }) });`,
  'the types come from the codec where none are named': `
    const port = new Port('x', { encode: (r: Row) => String(r.id), decode: (m: Buffer) => ({ score: m.length }) });
    const reply = await port.request(row);
    same<typeof reply, { score: number }>(true);`,
  'the defaults may be named without a codec': `
    new Port<string, Buffer>('x'); new PortPool<string | NodeJS.ArrayBufferView, Buffer>('x');`,
  'transform() goes into a pipeline, a pipe and from()': `
    const pool = new PortPool<Row, Score>('x', { ...json });
    await pipeline(Readable.from([row]), pool.transform(), new Writable({ objectMode: true }));
    await pipeline(async function* () { yield row; }, pool.transform(), async function (scores) { for await (const s of scores) s.score; });
    Readable.from([row]).pipe(pool.transform()).pipe(new Writable());`,
  'a stage of transform() is written requests and read replies, in every way': `
    const stage = new PortPool<Row, Score>('x', { ...json }).transform();
    same<typeof stage, RequestTransform<Row, Score>>(true);
    stage.write(row); stage.write(row, () => {}); stage.write(row, 'utf8', (error) => error?.message);
    stage.end(); stage.end(() => {}); stage.end(row, () => {});
    stage.on('data', (reply) => same<typeof reply, Score>(true));
    stage.once('data', (reply) => same<typeof reply, Score>(true)).prependListener('data', ({ score }) => score.toFixed());
    stage.on('error', ({ message }) => message.length).on('an event of their own', (any) => any.thing);
    const read = stage.read();
    same<typeof read, Score | null>(true);
    for await (const reply of stage) same<typeof reply, Score>(true);
    for await (const reply of stage.iterator({ destroyOnReturn: false })) same<typeof reply, Score>(true);
    const { value } = await stage[Symbol.asyncIterator]().next();
    same<typeof value, Score | undefined>(true);`,
  'and where the types come from the codec': `
    const port = new Port('x', { encode: (r: Row) => String(r.id), decode: (m: Buffer) => ({ score: m.length }) });
    port.transform().on('data', (reply) => same<typeof reply, { score: number }>(true)).write(row);`,
  'a stage of a plain Port takes messages and gives Buffers': `
    const stage = new Port('x').transform();
    stage.write('a'); stage.write(new Uint8Array(3)); stage.end(Buffer.from('a'));
    stage.on('data', (reply) => same<typeof reply, Buffer>(true));
    for await (const reply of stage) same<typeof reply, Buffer>(true);`,
  'the operators of a stage, and the next stages of a pipeline, get the types of what goes through them': `
    const stage = new Port<Row, Score>('x', { ...json }).transform();
    const numbers = await stage.filter(({ score }) => score > 1).map(async ({ score }) => score).toArray();
    same<typeof numbers, number[]>(true);
    stage.map(({ score }) => [score]).on('data', (mapped) => same<typeof mapped, number[]>(true));
    for await (const digit of stage.flatMap(({ score }) => [...String(score)]).take(3)) same<typeof digit, string>(true);
    const sum = await stage.reduce((total, { score }) => total + score, 0);
    same<typeof sum, number>(true);
    const found = await stage.find(({ score }) => score > 1);
    same<typeof found, Score | undefined>(true);
    const collect = async <T>(source: AsyncIterable<T>): Promise<T[]> => { const all: T[] = []; for await (const one of source) all.push(one); return all; };
    const all = await collect(stage);
    same<typeof all, Score[]>(true);
    await pipeline(
      [row], stage,
      async function* (scores) { for await (const score of scores) { same<typeof score, Score>(true); yield score.score; } },
      async (scores) => { for await (const score of scores) score.toFixed(); });
    await pipeline([row], stage, async (scores) => { for await (const score of scores) same<typeof score, Score>(true); });`,
  'a stage is a Duplex and a Readable of Node to those that ask for one': `
    const stage = new Port<Row, Score>('x', { ...json }).transform();
    const duplex: Duplex = stage;
    const readable: Readable = stage;
    const old: NodeJS.ReadWriteStream = stage;
    Readable.toWeb(stage); stage.pipe(old).pipe(duplex); readable.pipe(stage);`,
  'start(), and the options of a start and of a run': `
    const options: PortOptions = { startTimeoutMs: 1, runTimeoutMs: 1 };
    const started = new Port('x', options).start();
    same<typeof started, Promise<void>>(true);
    await new PortPool('x', { ...options, minSize: 1, size: 2 }).start();`,
  'an error class has its literal code: switch narrows': `
    declare const error: TimeoutError | ExitError | BrokenError;
    switch (error.code) {
      case 'ERR_REXPORT_TIMEOUT': error.phase satisfies 'queue' | 'start' | 'write' | 'header' | 'body' | 'reply' | 'run'; error.limit satisfies 'timeoutMs' | 'runTimeoutMs' | 'startTimeoutMs'; break;
      case 'ERR_REXPORT_EXIT': error.behind satisfies number; error.exitCode satisfies number | null; break;
      case 'ERR_REXPORT_BROKEN': error.restarts satisfies number; break;
    }`,
  events: `
    const port = new Port('x');
    port.on('spawn', ({ lane, generation, pid }) => { same<typeof pid, number | undefined>(true); lane.toFixed(); generation.toFixed(); });
    port.on('broken', (error) => same<typeof error, BrokenError>(true));
    port.on('restart', ({ delayMs, cause }) => { delayMs.toFixed(); cause?.message; });`,
};

/** What must not compile. */
const wrong: Record<string, string> = {
  'a Port with a Reply of its own and no codec': `new Port<string, Score>('x');`,
  'a Port with a Request of its own and no codec': `new Port<Row, Buffer>('x');`,
  'a Port with both and no codec': `new Port<Row, Score>('x', ['arg']);`,
  'a Port with both, options, and no codec': `new Port<Row, Score>('x', { maxInFlight: 2 });`,
  'a Port with both and half a codec': `new Port<Row, Score>('x', { encode: (r: Row) => String(r.id) });`,
  'a Port with both and the other half': `new Port<Row, Score>('x', [], { decode: (m: Buffer) => ({ score: m.length }) });`,
  'a PortPool with both and no codec': `new PortPool<Row, Score>('x', { size: 2 });`,
  'a request of another type': `new Port<Row, Score>('x', { ...json }).request('text');`,
  'a replacement of another type from onError': `new Port<Row, Score>('x', { ...json }).transform({ onError: () => 'text' });`,
  'a write of another type into a stage': `new Port<Row, Score>('x', { ...json }).transform().write('text');`,
  'an end of another type': `new Port<Row, Score>('x', { ...json }).transform().end({ score: 1 });`,
  'a number written to a plain stage': `new Port('x').transform().write(3);`,
  'a listener that takes another reply': `new Port<Row, Score>('x', { ...json }).transform().on('data', (reply: Row) => reply.id);`,
  'a loop that takes another reply': `for await (const { id } of new Port<Row, Score>('x', { ...json }).transform()) id;`,
  'a read of another reply': `const row: Row | null = new Port<Row, Score>('x', { ...json }).transform().read();`,
  'a map of another reply': `new Port<Row, Score>('x', { ...json }).transform().map(({ id }) => id);`,
  'a next stage that takes another reply': `await pipeline([row], new Port<Row, Score>('x', { ...json }).transform(), async (rows) => { for await (const { id } of rows) id; });`,
  'an option of a pool for a Port': `new Port('x', { size: 2 });`,
  'an unknown option': `new Port('x', { timeoutMs: 2 });`,
};

describe('the types of ports', function () {
  this.timeout(120_000);
  const diagnostics = new Map<string, string[]>();

  before(() => {
    const { options } = ts.parseJsonConfigFileContent(
      ts.readConfigFile(path.join(repository, 'tsconfig.json'), (file) => ts.sys.readFile(file)).config,
      ts.sys,
      repository,
      { noUnusedLocals: false, noUnusedParameters: false },
    );
    const cases = Object.entries({ ...right, ...wrong });
    const head = path.join(repository, 'port-types-head.ts');
    const names =
      'Duplex, Readable, Writable, pipeline, Port, PortPool, json, TimeoutError, ExitError, BrokenError, row, same';
    const types = 'type RexPortError, type PortOptions, type RequestTransform, type Score';
    const virtual = new Map([[head, HEAD.replace('interface Row', 'export interface Row')]]);
    for (const [n, [, code]] of cases.entries()) {
      const imports = `import { ${names}, ${types}, type Row } from './port-types-head';`;
      const [declarations, statements] = [/^\s*declare const .*$/gm, code.replace(/^\s*declare const .*$/gm, '')];
      const declared = [...code.matchAll(declarations)].join('\n');
      virtual.set(
        path.join(repository, `port-types-${n}.ts`),
        `${imports}\n${declared}\nexport async function run(): Promise<void> {\n${statements}\n}\n`,
      );
    }
    const host = ts.createCompilerHost(options);
    const original = { ...host };
    host.fileExists = (file) => virtual.has(file) || original.fileExists(file);
    host.readFile = (file) => virtual.get(file) ?? original.readFile(file);
    host.getSourceFile = (file, language, ...rest) => {
      const text = virtual.get(file);
      return text === undefined
        ? original.getSourceFile(file, language, ...rest)
        : ts.createSourceFile(file, text, language);
    };
    const program = ts.createProgram([...virtual.keys()], options, host);
    for (const [n, [name]] of cases.entries()) {
      const source = program.getSourceFile(path.join(repository, `port-types-${n}.ts`));
      const found = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)];
      diagnostics.set(
        name,
        found.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n')),
      );
    }
    expect(program.getSemanticDiagnostics(program.getSourceFile(head)).map(({ messageText }) => messageText)).to.be
      .empty;
  });

  for (const name of Object.keys(right)) {
    it(`compiles: ${name}`, () => expect(diagnostics.get(name)).to.deep.equal([]));
  }
  for (const name of Object.keys(wrong)) {
    it(`does not compile: ${name}`, () => expect(diagnostics.get(name)).to.not.be.empty);
  }
});
