/** Programs that were not written for RexPort, behind a Port and a PortPool: in their own framing, with any number of lines, by ids. */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { expect } from 'chai';
import {
  incoming,
  lines,
  Port,
  PortPool,
  type Incoming,
  type LinesOptions,
  type PortPoolOptions,
  type Protocol,
} from '../../lib';
import { catFile } from '../support/cat-file';
import { askUnderKills, manyLives } from '../support/killed-pool';
import { program } from '../support/ports';
import { requirePrograms, stressed } from '../support/stress';
import { rejection } from '../support/streams';

describe('git cat-file --batch, in a framing of one’s own', () => {
  const repository = path.join(__dirname, '..', '..');
  const args = ['-C', repository, 'cat-file', '--batch'];
  let names: string[];
  let plain: Buffer;

  before(function () {
    requirePrograms(this, 'git');
    const git = (input: string, ...rest: string[]): Buffer =>
      spawnSync('git', ['-C', repository, 'cat-file', ...rest], { input, maxBuffer: 1 << 29 }).stdout;
    const all = git('', '--batch-all-objects', '--batch-check=%(objectname)').toString().split('\n').filter(Boolean);
    if (all.length === 0) this.skip(); // the package without its history
    names = all.slice(0, stressed(Infinity, 200));
    plain = git(`${names.join('\n')}\n`, '--batch');
  });

  function expectPlain(objects: readonly Buffer[]): void {
    const newline = Buffer.from('\n');
    expect(Buffer.concat(objects.flatMap((object) => [object, newline])).equals(plain)).to.equal(true);
  }

  it('gives each object of this repository byte by byte through a Port, 32 requests in flight', async () => {
    await using port = new Port('git', args, { framing: catFile, maxInFlight: 32 });
    expectPlain(await Promise.all(names.map((name) => port.request(name))));
    expect(String(await port.request('nothing'))).to.equal('nothing missing');
    expect(port.restarts).to.equal(0);
  });

  it('does so through a PortPool whose members are killed', async () => {
    await using pool = new PortPool('git', args, { ...manyLives, framing: catFile, maxInFlight: 4 });
    const { replies, kills } = await askUnderKills(pool, names, Math.ceil(names.length / stressed(10, 4)));
    expectPlain(replies);
    expect(kills).to.be.above(0);
  });
});

describe('a program that answers by any number of lines', () => {
  const END = '--the end--\n';
  interface Spoken {
    readonly args: readonly string[];
    readonly framing: LinesOptions;
    /** Prints the numbers from 1 to n. */
    readonly count: (n: number) => string;
    readonly comment: (text: string) => string;
  }
  const spoken: Readonly<Record<string, Spoken>> = {
    // what asks for the delimiter is written behind each message, and the delimiter comes behind its last line
    sqlite3: {
      args: ['-batch', ':memory:'],
      framing: { writeDelimiter: `\n.print ${END}`, delimiter: END },
      count: (n) =>
        `with recursive c(x) as (select 1 union all select x + 1 from c where x < ${n}) select x from c where x <= ${n};`,
      comment: (text) => `/* ${text} */ select 7;`,
    },
    bc: {
      args: ['-q'],
      framing: { writeDelimiter: `\nprint "${END.replace('\n', '\\n')}"\n`, delimiter: END },
      count: (n) => `for (i = 1; i <= ${n}; i++) i`,
      comment: (text) => `/* ${text} */ 7`,
    },
  };
  const numbers = (n: number): string => Array.from({ length: n }, (_, i) => `${i + 1}\n`).join('');

  for (const [command, { args, framing, count, comment }] of Object.entries(spoken)) {
    it(`has 0, 1 and n of them as one answer, by a writeDelimiter that asks for the delimiter: ${command}`, async function () {
      requirePrograms(this, command);
      await using port = new Port(command, args, { framing: lines(framing), maxInFlight: 8 });
      const counts = [0, 1, 5, 0, 1000, 1];
      const answers = await Promise.all(counts.map((n) => port.request(count(n))));
      expect(answers.map(String)).to.deep.equal(counts.map(numbers));
      expect(String(await port.request(''))).to.equal('');
      // what ends its answers may be in what it is asked, but not what ends that
      expect(String(await port.request(comment(END)))).to.equal('7\n');
      expect((await rejection(port.request(`1${framing.writeDelimiter}`))).code).to.equal(
        'ERR_REXPORT_INVALID_MESSAGE',
      );
      expect(port.restarts).to.equal(0);
    });

    it(`keeps them together in a pool whose members are killed: ${command}`, async function () {
      requirePrograms(this, command);
      await using pool = new PortPool(command, args, { ...manyLives, framing: lines(framing), maxInFlight: 3 });
      const counts = Array.from({ length: stressed(2000, 200) }, (_, n) => n % 7);
      const { replies, kills } = await askUnderKills(pool, counts.map(count), 50);
      expect(replies.map(String)).to.deep.equal(counts.map(numbers));
      expect(kills).to.be.above(0);
    });
  }
});

describe('a multiplex worker as Bazel keeps them, spoken to in protobuf by hand', () => {
  class WorkError extends Error {}

  function varint(value: number): Buffer {
    const bytes: number[] = [];
    let rest = value;
    for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
    return Buffer.from([...bytes, rest]);
  }
  const number = (field: number, value: number): Buffer => Buffer.concat([varint(field * 8), varint(value)]);
  function text(field: number, value: string): Buffer {
    const bytes = Buffer.from(value);
    return Buffer.concat([varint(field * 8 + 2), varint(bytes.length), bytes]);
  }
  function fieldsOf(message: Buffer): Map<number, number | string> {
    const fields = new Map<number, number | string>();
    let at = 0;
    const read = (): number => {
      let [value, unit] = [0, 1];
      do {
        value += (message[at]! & 127) * unit;
        unit *= 128;
      } while (message[at++]! > 127);
      return value;
    };
    while (at < message.length) {
      const key = read();
      if ((key & 7) === 0) fields.set(key >> 3, read());
      else {
        const length = read();
        fields.set(key >> 3, message.toString('utf8', at, (at += length)));
      }
    }
    return fields;
  }

  /** The arguments of a WorkRequest; or, for one that is cancelled, its number. */
  type Work = readonly string[] | number;
  const protocol: Protocol<Work, string> = {
    encode: (work, id = 0) =>
      typeof work === 'number'
        ? Buffer.concat([number(3, work), number(4, 1)])
        : Buffer.concat([...work.map((argument) => text(1, argument)), number(3, id)]),
    receive(message): Incoming<string> {
      const fields = fieldsOf(message);
      const [id, output] = [Number(fields.get(3)), String(fields.get(2))];
      return fields.get(1) === 1 ? incoming.error(new WorkError(output), id) : incoming.reply(output, id);
    },
    cancel: (id, child) => child.send(id),
  };
  const args = [program('bazel_worker.py')];
  const options = { prefix: 'varint', protocol, maxInFlight: 16 } satisfies PortPoolOptions<Work, string>;
  const backwards = (word: string): string => Array.from(word).reverse().join('');

  before(function () {
    requirePrograms(this, 'python3');
  });

  it('gives each its own reply, whatever their order; a failure is its own', async () => {
    await using port = new Port<Work, string>('python3', args, options);
    const failed = rejection(port.request(['1', 'fail', 'x']));
    const words = Array.from({ length: 100 }, (_, n) => `word${n}`);
    const replies = await Promise.all(words.map((word, n) => port.request([String((n * 7) % 20), word])));
    expect(replies).to.deep.equal(words.map(backwards));
    expect(await failed)
      .to.be.instanceOf(WorkError)
      .with.property('message', 'x liaf');
    expect(port.restarts).to.equal(0);
  });

  it('is told what is cancelled, and its answer to that is late', async () => {
    await using port = new Port<Work, string>('python3', args, { ...options, maxInFlight: 2 });
    await port.request(['0', 'warm']);
    const controller = new AbortController();
    const aborted = rejection(port.request(['60000', 'never'], { signal: controller.signal }));
    // it is with the child when what was asked later is answered
    expect(await port.request(['0', 'behind'])).to.equal('dniheb');
    controller.abort();
    expect(await aborted).to.have.property('name', 'AbortError');
    while (port.statistics().lateReplies === 0) await port.request(['0', 'x']);
    expect(port.statistics()).to.include({ lateReplies: 1, restarts: 0 });
  });

  it('loses and crosses nothing in a pool whose members are killed', async () => {
    await using pool = new PortPool<Work, string>('python3', args, { ...manyLives, ...options });
    const words = Array.from({ length: stressed(1000, 120) }, (_, n) => `word${n}`);
    const works = words.map((word, n) => [String(n % 7), word]);
    const { replies, kills } = await askUnderKills(pool, works, stressed(100, 40));
    expect(replies).to.deep.equal(words.map(backwards));
    expect(kills).to.be.above(0);
  });
});
