import { AsyncLocalStorage } from 'node:async_hooks';
import { chmodSync, closeSync, mkdtempSync, readFileSync, readlinkSync, readSync, rmSync } from 'node:fs';
import { writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { PipeSource, closePipes, type ChildEnd, type Pipe } from '../../lib/process/pipes';
import { linkedModule } from '../support/linked-module';
import { childrenFromNow, survivors, until } from '../support/processes';
import { askProgram } from '../support/programs';
import { stressed } from '../support/stress';

const O_CLOEXEC = 0o2000000;
const O_NONBLOCK = 0o4000;
const O_WRONLY = 0o1;

function take(source: PipeSource, ends: readonly ChildEnd[]): Promise<readonly Pipe[] | string> {
  return new Promise((resolve) => source.take(ends, resolve));
}

async function pipes(source: PipeSource, ends: readonly ChildEnd[]): Promise<readonly Pipe[]> {
  const result = await take(source, ends);
  if (typeof result === 'string') throw new Error(result);
  return result;
}

function flagsOf(fd: number): number {
  return parseInt(/flags:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))![1]!, 8);
}

const nameOf = (fd: number): string => readlinkSync(`/proc/self/fd/${fd}`);

describe('PipeSource', function () {
  before(function () {
    if (process.platform !== 'linux') this.skip(); // where it has none, as the last case says
  });

  let children: () => number[];
  beforeEach(() => (children = childrenFromNow()));

  it('leaves Node to find the modules behind links as it did before', async () => {
    using module = linkedModule();
    // from now on Node knows the folders above, and asks the file system only about the link
    require.resolve(module.real);
    closePipes(await pipes(new PipeSource(), ['reads']));
    expect(require.resolve(module.linked)).to.equal(module.real);
  });

  it('gives anonymous pipes, each with two ends: ours does not block, the one of the child does', async () => {
    const taken = await pipes(new PipeSource(), ['reads', 'writes', 'writes']);
    const names = taken.map(({ ours }) => nameOf(ours));
    expect(names.join(' ')).to.match(/^pipe:\[\d+\] pipe:\[\d+\] pipe:\[\d+\]$/);
    expect(new Set(names)).to.have.lengthOf(3);
    expect(taken.map(({ theirs }) => nameOf(theirs))).to.deep.equal(names);
    const flags = taken.flatMap(({ ours, theirs }) => [flagsOf(ours), flagsOf(theirs)]);
    const expected = [O_WRONLY | O_NONBLOCK, 0, O_NONBLOCK, O_WRONLY, O_NONBLOCK, O_WRONLY];
    expect(flags.map((flag) => flag & (O_WRONLY | O_NONBLOCK | O_CLOEXEC))).to.deep.equal(
      expected.map((flag) => flag | O_CLOEXEC),
    );
    closePipes(taken);
  });

  it('gives empty pipes with no third end: what is written comes, and then the end', async () => {
    const [input, output] = await pipes(new PipeSource(), ['reads', 'writes']);
    expect(await until(() => children().length === 0)).to.be.true;
    const ways = [
      [input!.ours, input!.theirs],
      [output!.theirs, output!.ours],
    ];
    for (const [writing, reading] of ways) {
      const bytes = Buffer.alloc(10);
      writeSync(writing!, 'some');
      closeSync(writing!);
      expect(bytes.toString('latin1', 0, readSync(reading!, bytes))).to.equal('some');
      expect(readSync(reading!, bytes)).to.equal(0);
      closeSync(reading!);
    }
  });

  it('gives a write to a pipe whose reader is gone a broken pipe', async () => {
    const [pipe] = await pipes(new PipeSource(), ['writes']);
    expect(await until(() => children().length === 0)).to.be.true;
    closeSync(pipe!.ours);
    expect(() => writeSync(pipe!.theirs, 'x')).to.throw('EPIPE');
    closeSync(pipe!.theirs);
  });

  it('answers a hundred asks at a time, in order, from one helper, which then ends', async () => {
    const source = new PipeSource();
    const order: number[] = [];
    const asks = Array.from({ length: 100 }, async (_, index) => {
      const taken = await pipes(source, ['reads', 'writes', 'writes']);
      order.push(index);
      return taken;
    });
    const helpers = children();
    expect(helpers).to.have.lengthOf(1);
    const taken = (await Promise.all(asks)).flat();
    expect(order).to.deep.equal(Array.from({ length: 100 }, (_, index) => index));
    expect(new Set(taken.map(({ ours }) => nameOf(ours)))).to.have.lengthOf(300);
    closePipes(taken);
    expect(await survivors(helpers)).to.deep.equal([]);
    expect(await until(() => children().length === 0)).to.be.true; // no zombie either
  });

  it('starts another helper for an ask that comes later', async () => {
    const source = new PipeSource();
    for (let round = 0; round < 3; round += 1) closePipes(await pipes(source, ['reads']));
  });

  it('starts no helper where no pipe is asked for', () => {
    const results: unknown[] = [];
    new PipeSource().take([], (result) => results.push(result));
    expect(results).to.deep.equal([[]]);
    expect(children()).to.deep.equal([]);
  });

  it('calls back in the asynchronous context of each ask, whichever port started the helper', async () => {
    const source = new PipeSource();
    const storage = new AsyncLocalStorage<number>();
    const seen = await Promise.all(
      [0, 1, 2, 3].map((index) =>
        storage.run(index, async () => {
          const result = await new Promise<[number | undefined, readonly Pipe[] | string]>((resolve) => {
            source.take(['reads', 'writes'], (taken) => resolve([storage.getStore(), taken]));
          });
          closePipes(result[1] as readonly Pipe[]);
          return result[0];
        }),
      ),
    );
    expect(seen).to.deep.equal([0, 1, 2, 3]);
  });

  it('calls back each ask, though the callback of another throws', async () => {
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    const thrown: string[] = [];
    const onThrow = (error: Error): void => void thrown.push(error.message);
    process.on('uncaughtException', onThrow);
    const source = new PipeSource();
    source.take(['reads'], (taken) => {
      closePipes(taken as readonly Pipe[]);
      throw new Error('thrown by a listener');
    });
    closePipes(await pipes(source, ['writes']));
    process.removeListener('uncaughtException', onThrow);
    for (const listener of listeners) process.on('uncaughtException', listener);
    expect(thrown).to.deep.equal(['thrown by a listener']);
  });

  describe('has none, and says why,', () => {
    let folder: string;
    before(() => (folder = mkdtempSync(path.join(tmpdir(), 'rexport-pipes-'))));
    after(() => rmSync(folder, { recursive: true }));

    /** Stands in for a shell; whatever it is given to run. */
    function script(name: string, text: string): string {
      const file = path.join(folder, name);
      writeFileSync(file, `#!/bin/bash\n${text}\n`);
      chmodSync(file, 0o755);
      return file;
    }

    const fds = [3, 4, 5, 6, 7, 8, 9];
    const shells: [title: string, shell: () => string, reason: RegExp][] = [
      ['without a shell', () => path.join(folder, 'no-shell'), /ENOENT$/],
      ['where the shell may not be run', () => folder, /EACCES$/],
      ['where the shell fails', () => script('fails', 'exit 2'), /ended with 2 before it made a pipe$/],
      ['where the shell is killed', () => script('killed', 'kill -9 $$'), /ended with SIGKILL before it made a pipe$/],
      ['where the shell is silent', () => script('silent', 'exec sleep 60'), /made no pipe in 300 ms$/],
      ['where the shell makes nothing', () => script('nothing', 'echo; read'), /ENOENT/],
      [
        'where the shell keeps here-documents in files',
        () => script('files', `exec ${fds.map((fd) => `${fd}<"$0"`).join(' ')}; echo; read`),
        /is no pipe$/,
      ],
      [
        'where the pipes have other bytes in them than the line of the helper',
        () => script('others', `exec ${fds.map((fd) => `${fd}< <(echo y)`).join(' ')}; sleep 0.1; echo; read`),
        /^expected the helper's line in its pipe, got "y\\n"$/,
      ],
    ];
    for (const [title, shell, reason] of shells) {
      it(`${title}; the next ask too`, async () => {
        const source = new PipeSource({ shell: shell(), timeoutMs: 300 });
        const first = await Promise.all([take(source, ['reads', 'writes']), take(source, ['writes'])]);
        for (const result of [...first, await take(source, ['reads'])]) expect(result).to.match(reason);
      });
    }

    it('where /proc cannot be seen, and starts no helper then', async () => {
      const asked = take(new PipeSource({ proc: path.join(folder, 'proc') }), ['reads']);
      expect(children()).to.deep.equal([]);
      expect(await asked).to.match(/^ENOENT/);
    });

    it('where the helper is killed by somebody else, but the next ask gets its pipes', async () => {
      const source = new PipeSource();
      const asked = Array.from({ length: 50 }, () => take(source, ['reads', 'writes', 'writes']));
      process.kill(children()[0]!, 'SIGKILL');
      for (const result of await Promise.all(asked)) {
        if (typeof result === 'string') expect(result).to.match(/ended|ENOENT/);
        else closePipes(result);
      }
      expect(await asked[49]).to.be.a('string');
      closePipes(await pipes(source, ['reads']));
    });

    it('where a shell that cannot be run was tried before: it is not tried again', async () => {
      const shell = path.join(folder, 'late');
      const source = new PipeSource({ shell });
      await take(source, ['reads']);
      writeFileSync(shell, '');
      let isNow = false;
      source.take(['reads'], () => (isNow = true));
      expect(isNow).to.be.true;
    });

    it('with any number of descriptors left, keeps none of them, and has pipes when there are some again', async () => {
      const { results, kept, after } = await askProgram<{ results: string[]; kept: number; after: string }>(
        'piped',
        ['few'],
        { prelude: `ulimit -n ${stressed(200, 80)}` },
      );
      expect(results.slice(0, 4)).to.satisfy((few: string[]) => few.every((result) => result.includes('EMFILE')));
      for (const result of results) expect(result).to.match(/EMFILE|^3 pipes$/);
      expect(results.at(-1)).to.equal('3 pipes');
      expect({ kept, after }).to.deep.equal({ kept: 0, after: '3 pipes' });
    });

    it('on other systems, at once', () => {
      const { platform } = process;
      Object.defineProperty(process, 'platform', { value: 'darwin' });
      const results: unknown[] = [];
      new PipeSource().take(['reads'], (result) => results.push(result));
      Object.defineProperty(process, 'platform', { value: platform });
      expect(results).to.deep.equal(['no pipes can be had on darwin']);
    });
  });
});
