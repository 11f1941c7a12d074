import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { expect } from 'chai';
import { PortDuplex, type PortDuplexOptions } from '../../lib';
import { childrenFromNow, childrenOf, isAlive, survivors, until } from '../support/processes';
import { askProgram, startProgram } from '../support/programs';
import { requirePrograms, skipWithout, stressed } from '../support/stress';
import { closed } from '../support/streams';

const isLinux = process.platform === 'linux';

function linuxOnly(this: Mocha.Context): void {
  if (!isLinux) this.skip(); // sockets everywhere else
}

/** What the program makes of the input, on stdout and on stderr, and how it ends. */
async function run(
  command: string,
  args: readonly string[],
  options: PortDuplexOptions = {},
  input = 'input\n',
): Promise<{ stdout: string; stderr: string; exitCode: number | null }> {
  const port = new PortDuplex(command, args, { pipes: true, successCodes: [0, 1, 2], ...options });
  const stderr = text(port.stderr!);
  port.end(input);
  const stdout = await text(port);
  await closed(port);
  return { stdout, stderr: await stderr, exitCode: port.exitCode };
}

describe('PortDuplex with `pipes: true`: names of descriptors', () => {
  before(linuxOnly);

  let home: string;
  before(() => {
    home = mkdtempSync(path.join(tmpdir(), 'rexport-home-'));
    writeFileSync(path.join(home, '.bashrc'), 'echo noise of bashrc\n');
    writeFileSync(path.join(home, 'env.sh'), 'FROM_ENV=taken\n');
  });
  after(() => rmSync(home, { recursive: true }));

  const good = { stderr: '', exitCode: 0 };
  type Case = [title: string, command: string, args: readonly string[], result: object];
  /** The same three descriptors, by other programs and other names of the same links. */
  const more: Case[] = [
    ['/dev/stdin, by sort', 'sort', ['/dev/stdin'], { ...good, stdout: 'input\n' }],
    ['/proc/self/fd/0', 'cat', ['/proc/self/fd/0'], { ...good, stdout: 'input\n' }],
    ['/dev/fd/0, by a redirection of the shell', 'sh', ['-c', 'cat </dev/fd/0'], { ...good, stdout: 'input\n' }],
    ['/dev/stderr', 'sh', ['-c', 'cat >/dev/stderr'], { stdout: '', stderr: 'input\n', exitCode: 0 }],
  ];
  const cases: Case[] = [
    ['/dev/stdin, by cat', 'cat', ['/dev/stdin'], { ...good, stdout: 'input\n' }],
    [
      '/dev/stdin twice, one after another',
      'sh',
      ['-c', 'head -n 1 /dev/stdin; cat /dev/stdin'],
      { stdout: 'input\n' },
    ],
    ['/dev/stdout', 'sh', ['-c', 'cat >/dev/stdout'], { ...good, stdout: 'input\n' }],
    ['/dev/stderr, by tee', 'tee', ['/dev/stderr'], { stdout: 'input\n', stderr: 'input\n', exitCode: 0 }],
    ...stressed(more, []),
  ];
  for (const [title, command, args, result] of cases) {
    it(`a program opens ${title}; over sockets it cannot`, async () => {
      expect(await run(command, args)).to.deep.include(result);
      expect((await run(command, args, { pipes: false })).stderr).to.match(/No such device or address/);
    });
  }

  it('a program opens /dev/stdin when its input has ended already, and sees the end', async () => {
    const { stdout } = await run('sh', ['-c', 'sleep 0.1; cat /dev/stdin; cat /dev/stdin; echo end']);
    expect(stdout).to.equal('input\nend\n');
  });

  it('bash does not take itself for a remote shell, which would run ~/.bashrc', async () => {
    const env = { HOME: home, PATH: process.env['PATH'] };
    const options = { env, extendEnv: false } as const;
    expect((await run('bash', ['-c', 'cat'], options)).stdout).to.equal('input\n');
    expect((await run('bash', ['-c', 'cat'], { ...options, pipes: false })).stdout).to.equal(
      'noise of bashrc\ninput\n',
    );
  });

  it('bash without SHLVL runs the file that BASH_ENV names', async () => {
    const env = { HOME: home, PATH: process.env['PATH'], BASH_ENV: path.join(home, 'env.sh') };
    const options = { env, extendEnv: false } as const;
    expect((await run('bash', ['-c', 'echo "$FROM_ENV"'], options)).stdout).to.equal('taken\n');
  });

  it('of a program of another user, by that user', async function () {
    if (process.getuid?.() !== 0) skipWithout(this, 'root, who may set `uid`');
    const script = 'id -u; cat /dev/stdin; echo out >/dev/stdout; echo err >/dev/stderr';
    expect(await run('sh', ['-c', script], { uid: 65_534, gid: 65_534, cwd: '/' })).to.deep.equal({
      stdout: '65534\ninput\nout\n',
      stderr: 'err\n',
      exitCode: 0,
    });
  });
});

describe('PortDuplex with `pipes: true`: bytes', () => {
  before(linuxOnly);

  it('chunks belong to the reader: those that were kept are what they were when they came', async () => {
    // several chunks, and one more that comes late
    const most = stressed(200_000, 40_000);
    const script = `seq 1 ${most}; sleep 0.01; seq ${most + 1} ${most + 100}`;
    const port = new PortDuplex('sh', ['-c', script], { pipes: true });
    port.end();
    const kept: Buffer[] = [];
    const copies: Buffer[] = [];
    for await (const chunk of port as AsyncIterable<Buffer>) {
      kept.push(chunk);
      copies.push(Buffer.from(chunk));
    }
    expect(kept.every((chunk, index) => chunk.equals(copies[index]!))).to.be.true;
    const numbers = Buffer.concat(kept).toString('latin1').trimEnd().split('\n');
    expect(numbers).to.deep.equal(Array.from({ length: most + 100 }, (_, index) => String(index + 1)));
    // The reader may write into them as well.
    kept[0]!.fill(0);
    expect(kept.slice(1).every((chunk, index) => chunk.equals(copies[index + 1]!))).to.be.true;
  });

  it('a reader that pauses holds the program back, and then gets all the rest', async () => {
    const lines = stressed(300_000, 60_000);
    const port = new PortDuplex('sh', ['-c', `seq 1 ${lines}`], { pipes: true, highWaterMark: 1000 });
    port.end();
    const chunks: Buffer[] = [];
    const paused = new Promise<void>((resolve) => {
      port.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        port.pause();
        if (chunks.length === 1) resolve();
        else setImmediate(() => port.resume());
      });
    });
    await paused;
    const before = port.bytesRead;
    for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(port.bytesRead! - before!).to.be.at.most(64 * 1024);
    expect(isAlive(port.pid!)).to.be.true;
    port.resume();
    await once(port, 'end');
    await closed(port);
    expect(Buffer.concat(chunks).toString('latin1').split('\n')).to.have.lengthOf(lines + 1);
  });

  it('a megabyte each way at once comes back whole', async () => {
    const bytes = Buffer.alloc(1_000_000, 'all that matters ');
    const port = new PortDuplex('cat', { pipes: true });
    port.end(bytes);
    expect((await buffer(port)).equals(bytes)).to.be.true;
  });
});

describe('PortDuplex with `pipes: true`: the start', () => {
  before(linuxOnly);

  let children: () => number[];
  beforeEach(() => (children = childrenFromNow()));

  it('a port that is destroyed while it waits for its pipes starts nothing and keeps nothing', async () => {
    for (const redirect of [false, true]) {
      const before = readdirSync('/proc/self/fd').length;
      const port = new PortDuplex('sh', ['-c', 'echo started >&2'], { pipes: true, redirect, stderr: 'inherit' });
      await new Promise((resolve) => process.nextTick(resolve));
      expect(children()).to.have.lengthOf(1); // the helper
      port.destroy();
      await closed(port);
      expect(port.pid).to.equal(undefined);
      expect(await until(() => children().length === 0)).to.be.true;
      expect(await until(() => readdirSync('/proc/self/fd').length === before)).to.be.true;
    }
  });

  it('a program that cannot be started is the same error, and keeps no pipe', async () => {
    const before = readdirSync('/proc/self/fd').length;
    for (const args of [[], ['x'.repeat(3_000_000)]]) {
      const port = new PortDuplex(args.length > 0 ? 'true' : 'no-such-program', args, { pipes: true });
      const [error] = (await once(port, 'error')) as [Error];
      expect(error).to.have.property('code', 'ERR_REXPORT_SPAWN');
      await closed(port);
    }
    expect(await until(() => readdirSync('/proc/self/fd').length === before)).to.be.true;
  });

  const crowd = stressed(100, 6);
  it(`${crowd} ports of one moment share a helper`, async () => {
    const ports = Array.from({ length: crowd }, () => new PortDuplex('cat', { pipes: true }));
    const outputs = ports.map((port, index) => {
      port.end(String(index));
      return text(port);
    });
    await new Promise((resolve) => process.nextTick(resolve));
    expect(children()).to.have.lengthOf(1);
    expect(await Promise.all(outputs)).to.deep.equal(ports.map((_, index) => String(index)));
    await Promise.all(ports.map(closed));
  });
});

describe('PortDuplex with `pipes: true`: where there are none', () => {
  before(linuxOnly);

  /** Shell commands in a mount namespace of its own, before the program that is asked. */
  function inNamespace(context: Mocha.Context, commands: string): { prelude: string } {
    requirePrograms(context, 'perl', 'unshare');
    if (spawnSync('unshare', ['-m', 'true']).status !== 0) skipWithout(context, 'right to unshare a mount namespace');
    return { prelude: `exec unshare -m sh -c '${commands}; exec "$@"' sh "$@"` };
  }
  interface Kind {
    readonly kind: string;
    readonly reason?: string;
  }

  // that it is a pipe where nothing is in the way, the names of its descriptors tell

  it('a program has a socket where /proc is hidden, and the trace says why', async function () {
    const { kind, reason } = await askProgram<Kind>('piped', ['kind'], inNamespace(this, 'mount -t tmpfs none /proc'));
    expect(kind).to.equal('socket input');
    expect(reason).to.match(/^ENOENT.*\/proc\/self\/fd/);
  });

  it('a program has a socket where /bin/sh cannot be run, and the trace says why', async function () {
    const noShell = 'mount --bind /dev/null "$(readlink -f /bin/sh)"';
    const { kind, reason } = await askProgram<Kind>('piped', ['kind'], inNamespace(this, noShell));
    expect({ kind, reason }).to.deep.equal({ kind: 'socket input', reason: 'spawn /bin/sh EACCES' });
  });

  it('an ordinary user has 1120 pipes, and a megabyte passes through small ones', async () => {
    const answer = await askProgram<unknown>('piped', ['many'], { prelude: 'ulimit -n 4096' });
    expect(answer).to.deep.equal({ pipes: 1120, bytes: 1_000_000 });
  });
});

describe('PortDuplex with `pipes: true`: this process is killed', () => {
  before(linuxOnly);

  it('by SIGKILL in the midst of many starts, and no child and no helper is left', async function () {
    this.timeout(120_000);
    for (let round = 0; round < stressed(50, 1); round += 1) {
      const { process: child, ended } = startProgram('piped', ['churn']);
      await once(child.stdout!, 'data');
      let left: number[];
      do {
        child.kill('SIGCONT');
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 100));
        // Held, it can start no other before it dies.
        child.kill('SIGSTOP');
        left = childrenOf(child.pid!);
      } while (left.length === 0);
      child.kill('SIGKILL');
      await ended;
      expect(await survivors(left, 5000)).to.deep.equal([]);
    }
  });
});
