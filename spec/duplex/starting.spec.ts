import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { pathToFileURL } from 'node:url';
import { inspect } from 'node:util';
import { expect } from 'chai';
import { AbortError, PortDuplex, SpawnError, type PortDuplexOptions } from '../../lib';
import { ProcessEvents } from '../support/process-events';
import { stressed } from '../support/stress';
import { askProgram } from '../support/programs';
import { closed, CountingSink, rejection, sh } from '../support/streams';

/** What a program prints that gets no input. */
function output(command: string, args: readonly string[] = [], options: PortDuplexOptions = {}): Promise<string> {
  return text(new PortDuplex(command, args, { ...options, stdin: 'ignore' }));
}

/** Those above 2 that this process was given to hand on; Node marks whatever it opens itself as its own. */
function descriptorsHandedOn(): string[] {
  const closesOnExec = 0o2000000;
  return readdirSync('/proc/self/fd').filter((fd) => {
    if (Number(fd) <= 2 || !existsSync(`/proc/self/fdinfo/${fd}`)) return false;
    const flags = /^flags:\s+(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1];
    return (parseInt(flags ?? '', 8) & closesOnExec) === 0;
  });
}

describe('PortDuplex: starting', () => {
  let folder: string;
  let events: ProcessEvents;

  /** A program in the folder; its path. */
  function program(name: string, content: string, mode = 0o755): string {
    const file = path.join(folder, name);
    writeFileSync(file, content);
    chmodSync(file, mode);
    return file;
  }

  before(() => {
    folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'rexport-starting-')));
    mkdirSync(path.join(folder, 'größe & more'));
    program('no-interpreter', '#!/nope/sh\n');
    program('windows', '#!/bin/sh\r\necho hi\r\n');
    program('plain', 'echo hi\n', 0o644);
  });

  after(() => rmSync(folder, { recursive: true }));

  beforeEach(() => (events = new ProcessEvents()));

  afterEach('nothing reached process', async () => expect(await events.stop()).to.deep.equal([]));

  describe('what the system refuses is one error of the stream that names the culprit', () => {
    type Start = [command: string, args?: readonly string[], options?: PortDuplexOptions];
    type Refusal = [title: string, code: string, culprit: RegExp, start: () => Start];
    const megabytes = stressed(25, 3);
    const refusals: Refusal[] = [
      ['a program that does not exist', 'ENOENT', /no program of that name on the PATH/, () => ['no-such-program']],
      ['a file that does not exist', 'ENOENT', /there is no such file/, () => ['./no-such-program']],
      [
        'a working directory that does not exist',
        'ENOENT',
        /its working directory does not exist: \/nope/,
        () => ['ls', [], { cwd: '/nope' }],
      ],
      [
        'a working directory that is none',
        'ENOTDIR',
        /its working directory is no directory: .*\/plain/,
        () => ['ls', [], { cwd: path.join(folder, 'plain') }],
      ],
      [
        'an interpreter that does not exist',
        'ENOENT',
        /no-interpreter exists, but its interpreter '\/nope\/sh' does not/,
        () => [path.join(folder, 'no-interpreter')],
      ],
      [
        'an interpreter that has the line ending of Windows in its name',
        'ENOENT',
        /windows exists, but its interpreter '\/bin\/sh\\r' does not/,
        () => [path.join(folder, 'windows')],
      ],
      ['a file that is not executable', 'EACCES', /plain is not executable/, () => [path.join(folder, 'plain')]],
      ['a directory as the program', 'EACCES', /is a directory/, () => [folder]],
      ['an argument of 3 MB', 'E2BIG', /args\[0\], has 3000000/, () => ['true', ['x'.repeat(3_000_000)]]],
      [
        `an environment of ${megabytes} MB`,
        'E2BIG',
        new RegExp(`${megabytes}000002`),
        () => ['true', [], { env: { A: 'x'.repeat(megabytes * 1_000_000) } }],
      ],
    ];

    for (const [title, code, culprit, start] of refusals) {
      it(title, async () => {
        const port = new PortDuplex(...start());
        const seen: string[] = [];
        for (const event of ['spawn', 'exit', 'error', 'end', 'finish', 'inputclosed', 'outputclosed', 'close']) {
          port.on(event, () => seen.push(event));
        }
        const error = await rejection(pipeline(Readable.from(['x']), port, new CountingSink()));
        await closed(port);
        expect(error).to.be.instanceOf(SpawnError).and.include({ code: 'ERR_REXPORT_SPAWN', command: start()[0] });
        expect(error.message)
          .to.match(/^could not spawn /)
          .and.match(culprit);
        expect(error.cause).to.include({ code });
        expect(seen).to.deep.equal(['error', 'close']);
        expect(port).to.include({ pid: undefined, exitCode: null, signalCode: null, destroyed: true, errored: error });
        expect(await port.exited).to.deep.equal({ exitCode: null, signal: null, durationMs: 0 });
        expect([port.kill('SIGKILL'), port.bytesWritten, port.bytesRead]).to.deep.equal([false, 0, 0]);
      });
    }

    it('a descriptor too few, or one for a pair of sockets, however few there are: an error says so, and none is kept', async function () {
      if (process.platform !== 'linux') this.skip(); // it looks into /proc, or counts on limits as Linux has them
      interface Few {
        lives: string[];
        kept: number;
      }
      interface Answer {
        pipe: Few;
        stdout: Few;
        events: string[];
        keptByNode: number;
      }
      const { pipe, stdout, ...answer } = await askProgram<Answer>('descriptors', [], { prelude: 'ulimit -n 60' });
      expect(answer.events).to.deep.equal([]);
      const refused =
        'could not spawn cat: no descriptor is left: the limit of open files of this process is reached (EMFILE), ' +
        'EMFILE close';
      const lived = 'spawn end close pid';
      const first = pipe.lives.indexOf(lived);
      expect(first).to.be.greaterThan(3);
      expect(pipe.lives.slice(0, first)).to.deep.equal(Array(first).fill(refused));
      expect(pipe.lives.slice(first)).to.deep.equal(Array(pipe.lives.length - first).fill(lived));
      expect(pipe.kept).to.equal(answer.keptByNode);
      const firstPair = stdout.lives.indexOf(lived);
      expect(firstPair).to.be.greaterThan(3);
      for (const life of stdout.lives.slice(0, firstPair)) expect(life).to.match(/^could not spawn cat: .* close$/);
      expect(stdout.kept).to.be.at.most(answer.keptByNode);
    });

    it('a process too many', async function () {
      // only who is root at first can have Node's own threads and be refused a child later
      if (process.platform !== 'linux' || process.getuid!() !== 0) this.skip();
      // bash and dash call it differently
      const limit = 'ulimit -u 1 2>/dev/null || ulimit -p 1';
      const message = await askProgram<string>('ordinary-user', ['alone'], { prelude: limit });
      expect(message).to.equal('could not spawn true: the limit of processes is reached (EAGAIN)');
    });

    it('a directory, a program and a user that an ordinary user may not have', async function () {
      if (process.platform !== 'linux') this.skip(); // it looks into /proc, or counts on limits as Linux has them
      const answer = await askProgram<{ folder: string; messages: Record<string, string> }>('ordinary-user');
      const locked = path.join(answer.folder, 'locked');
      expect(answer.messages).to.deep.equal({
        'a directory that may not be entered': `could not spawn true: its working directory may not be entered: ${locked} (EACCES)`,
        'a directory that cannot be reached': `could not spawn true: its working directory cannot be reached: ${locked}/inner (EACCES)`,
        'a program that cannot be reached': `could not spawn ${locked}/program: a directory on the way to it may not be entered (EACCES)`,
        'another user': 'could not spawn true: this process may not become uid 0, gid 0 (EPERM)',
      });
    });

    it('without a word of arguments and environment, also in a log', async () => {
      const env = { TOKEN: 'secret-variable' };
      for (const command of ['no-such-program', folder]) {
        const error = await rejection(text(new PortDuplex(command, ['secret-argument'], { env })));
        expect(inspect(error, { depth: Infinity }))
          .to.include(command)
          .and.not.include('secret');
      }
      const error = await rejection(text(new PortDuplex('sh', ['-c', 'exit 3', 'secret-argument'], { env })));
      expect(inspect(error, { depth: Infinity }))
        .to.include('code 3')
        .and.not.include('secret');
    });

    it('to a port with no listener but its own `error`, to one that is written, and to one that is read', async () => {
      const ports = [
        new PortDuplex('no-such-program'),
        new PortDuplex('no-such-program'),
        new PortDuplex('no-such-program').resume(),
      ];
      const called: (Error | null | undefined)[] = [];
      ports[1]!.write('x', (error) => called.push(error));
      ports[1]!.end();
      const errors = await Promise.all(ports.map((port) => once(port, 'error')));
      await Promise.all(ports.map(closed));
      for (const [error] of errors) expect(error).to.be.instanceOf(SpawnError);
      expect(called).to.deep.equal(errors[1]);
    });

    it('and nothing at all to a port that was destroyed before it was told', async () => {
      const port = new PortDuplex('no-such-program');
      process.nextTick(() => port.destroy());
      await closed(port);
      expect(port.errored).to.equal(null);
    });
  });

  describe('with a signal that has already fired', () => {
    it('starts nothing: the port is destroyed with an AbortError that has the reason for its cause', async () => {
      const marker = path.join(folder, 'marker');
      const reason = new Error('enough');
      const port = new PortDuplex(...sh(`echo x > '${marker}'`), { signal: AbortSignal.abort(reason) });
      port.on('spawn', () => expect.fail('it was spawned'));
      const error = await rejection(pipeline(Readable.from(['x']), port, new CountingSink()));
      await closed(port);
      expect(port.errored).to.be.instanceOf(AbortError).and.include({ code: 'ABORT_ERR', cause: reason });
      expect(error).to.include({ name: 'AbortError' });
      expect(port.pid).to.equal(undefined);
      // a program that is started now would have written the first marker long before
      await output(...sh(`echo x > '${marker}-2'`));
      expect([existsSync(marker), existsSync(`${marker}-2`)]).to.deep.equal([false, true]);
    });

    it('starts nothing either when it fires in the tick of the constructor', async () => {
      const marker = path.join(folder, 'marker-3');
      const controller = new AbortController();
      const port = new PortDuplex(...sh(`echo x > '${marker}'`), { signal: controller.signal });
      controller.abort();
      await once(port, 'error');
      await closed(port);
      await output(...sh(`echo x > '${marker}-2'`));
      expect([existsSync(marker), existsSync(`${marker}-2`)]).to.deep.equal([false, true]);
    });
  });

  describe('the program gets', () => {
    it('its arguments exactly: empty, with spaces, quotes, *, $HOME, newlines, not of ASCII', async () => {
      const args = ['', ' ', 'a b', `'"\``, '*', '$HOME', '$(id)', 'a\nb', '-', '--', '\\', 'ä€😀', '%s', '\t', ''];
      const echo = 'for (@ARGV) { print; print "\\0" }';
      expect(await output('perl', ['-e', echo, '--', ...args])).to.equal(args.map((arg) => `${arg}\0`).join(''));
    });

    it('no arguments where none are given', async () => {
      expect(await output('perl', ['-e', 'print scalar @ARGV'])).to.equal('0');
      expect(await text(new PortDuplex('pwd', { stdin: 'ignore', cwd: '/' }))).to.equal('/\n');
    });

    it('its own name as argv0, else the command', async () => {
      const [command, args] = sh('echo "$0"');
      expect(await output(command, args, { argv0: 'another name' })).to.equal('another name\n');
      expect(await output(command, args)).to.equal('sh\n');
    });

    describe('an environment', () => {
      const environment = async (options: PortDuplexOptions): Promise<Record<string, string>> => {
        const printed = await output('/usr/bin/env', ['-0'], options);
        const pairs = printed.split('\0').slice(0, -1);
        return Object.fromEntries(
          pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
        );
      };
      const own = process.env as Record<string, string>;

      it('that is our own', async () => {
        expect(await environment({})).to.deep.equal(own);
      });

      it('with variables added, overridden, unset, empty, with a = in the value, not of ASCII', async () => {
        const env = { REXPORT_A: 'added', HOME: '/elsewhere', EMPTY: '', SIGN: 'a=b=c', NÄME: '€\n', LANG: undefined };
        const { LANG, ...others } = { ...own, ...env };
        expect(LANG).to.equal(undefined);
        expect(await environment({ env })).to.deep.equal(others);
      });

      it('of 300 variables more', async () => {
        const env = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`REXPORT_${index}`, `${index}`]));
        expect(await environment({ env })).to.deep.equal({ ...own, ...env });
      });

      it('that is clean, or has these variables only', async () => {
        expect(await environment({ extendEnv: false })).to.deep.equal({});
        expect(await environment({ extendEnv: false, env: { A: '1' } })).to.deep.equal({ A: '1' });
      });

      it('as it was when the port was made', async () => {
        const env: NodeJS.ProcessEnv = { A: '1' };
        const port = new PortDuplex('/usr/bin/env', { env, extendEnv: false, stdin: 'ignore' });
        env['A'] = '2';
        expect(await text(port)).to.equal('A=1\n');
      });
    });

    it('a working directory, absolute, relative or as a URL', async () => {
      const cwd = path.join(folder, 'größe & more');
      for (const way of [cwd, path.relative(process.cwd(), cwd), pathToFileURL(cwd)]) {
        expect(await output('pwd', [], { cwd: way })).to.equal(`${cwd}\n`);
      }
      expect(await output('pwd')).to.equal(`${process.cwd()}\n`);
    });

    it('run from a path with spaces that is not of ASCII, absolute or relative to its working directory', async () => {
      const file = program('größe & more/ein Programm €', '#!/bin/sh\necho "$1"\n');
      expect(await output(file, ['hi'])).to.equal('hi\n');
      expect(await output('./ein Programm €', ['hi'], { cwd: path.dirname(file) })).to.equal('hi\n');
    });

    it('found on the PATH of its own environment', async () => {
      program('rexport-on-path', '#!/bin/sh\necho found\n');
      expect(await output('rexport-on-path', [], { env: { PATH: `${folder}:/bin:/usr/bin` } })).to.equal('found\n');
    });

    it('exactly the descriptors 0, 1 and 2', async function () {
      if (process.platform !== 'linux') this.skip(); // it looks into /proc, or counts on limits as Linux has them
      const handedOn = descriptorsHandedOn();
      for (const stderr of ['pipe', 'inherit', 'ignore'] as const) {
        const port = new PortDuplex('cat', { stderr });
        port.write('x');
        await once(port, 'data');
        const fds = readdirSync(`/proc/${port.pid}/fd`);
        expect(fds.filter((fd) => !handedOn.includes(fd))).to.deep.equal(['0', '1', '2']);
        port.end();
        await closed(port);
      }
    });

    it('the default disposition of SIGPIPE and of all other signals, and none blocked', async function () {
      const port = new PortDuplex(...sh('kill -PIPE $$'));
      await rejection(text(port));
      expect(port).to.include({ exitCode: null, signalCode: 'SIGPIPE' });
      await closed(port);
      if (process.platform !== 'linux') this.skip(); // it looks into /proc, or counts on limits as Linux has them
      const status = await output('cat', ['/proc/self/status']);
      for (const mask of ['SigIgn', 'SigBlk']) expect(status).to.match(new RegExp(`^${mask}:\\t0+$`, 'm'));
    });

    it('a number, which is the one that the port tells', async () => {
      const port = new PortDuplex(...sh('echo $$; exec cat'));
      expect(port.pid).to.equal(undefined);
      await once(port, 'spawn');
      const { pid } = port;
      expect(String(await once(port, 'data'))).to.equal(`${pid}\n`);
      port.end();
      await closed(port);
      expect(port.pid).to.equal(pid);
    });

    it('the shell only where the shell is named: a text without #! is run as execvp does', async () => {
      expect(await output('echo', ['$HOME; exit 3 | cat'])).to.equal('$HOME; exit 3 | cat\n');
      const error = await rejection(output(program('garbage', '\u0001\u0002\0\0')));
      expect(error).to.include({ command: path.join(folder, 'garbage') });
      expect(error.message).to.include('garbage');
    });
  });

  const [count, limit] = stressed([1000, 400], [50, 110]);
  it(`${count} at once either work or fail cleanly`, async () => {
    const hasPipes = process.env['SPEC_PIPES'] !== undefined;
    const answer = await askProgram<{ outcomes: Record<string, number>; events: string[] }>('crowd', [`${count}`], {
      prelude: `ulimit -n ${limit}`,
    });
    expect(answer.events).to.deep.equal([]);
    const { ok = 0, 'SpawnError EMFILE': refused = 0, ...others } = answer.outcomes;
    expect(others).to.deep.equal({});
    expect(ok).to.be.greaterThan(20);
    // They come by their pipes one after another, and may all find room.
    if (!hasPipes) expect(refused).to.be.greaterThan(0);
    expect(ok + refused).to.equal(count);
  });
});
