import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import path from 'node:path';
import { inspect } from 'node:util';
import { expect } from 'chai';
import type { SpawnError } from '../../lib/errors';
import { Child } from '../../lib/process/child';
import type { ChildSpec } from '../../lib/process/child-spec';
import { explainSpawnFailure } from '../../lib/process/spawn-failure';
import { childSpec } from '../support/children';
import { stressed } from '../support/stress';

/** The error of a spawn that the system refuses. */
function failureOf(command: string, args: readonly string[] = [], others?: Partial<ChildSpec>): Promise<SpawnError> {
  return new Promise((resolve, reject) => {
    const child = Child.spawn(childSpec(command, args, others), resolve);
    if (child !== undefined) child.onClose(() => reject(new Error(`${command} was spawned`)));
  });
}

async function messageOf(...args: Parameters<typeof failureOf>): Promise<string> {
  return (await failureOf(...args)).message;
}

describe('what is to blame for a failed spawn', () => {
  let folder: string;

  /** A file in the folder; its path. */
  function file(name: string, content: string | Buffer = '', mode = 0o755): string {
    const target = path.join(folder, name);
    writeFileSync(target, content);
    chmodSync(target, mode);
    return target;
  }

  before(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'rexport-spawn-'));
    mkdirSync(path.join(folder, 'empty'));
    mkdirSync(path.join(folder, 'named'));
    mkdirSync(path.join(folder, 'named', 'sort'));
  });

  after(() => rmSync(folder, { recursive: true }));

  it('is a program that is nowhere on the PATH', async () => {
    const error = await failureOf('no-such-program');
    expect(error.message).to.equal(
      'could not spawn no-such-program: there is no program of that name on the PATH (ENOENT)',
    );
    expect(error.cause).to.include({ code: 'ENOENT', syscall: 'spawn no-such-program' });
  });

  it('is a command line in place of a program', async () => {
    const hint = "if it is followed by arguments, they go into the second parameter, as in ('gzip', ['-d'])";
    for (const command of ['no-such-program -d', './no-such program', 'gzip\t-d']) {
      expect(await messageOf(command)).to.equal(
        `could not spawn ${command}: there is no program of that name; ${hint} (ENOENT)`,
      );
    }
  });

  it('is a program that is nowhere on the PATH of its own environment', async () => {
    for (const PATH of ['', path.join(folder, 'empty')]) {
      expect(await messageOf('sort', [], { env: { PATH } })).to.equal(
        'could not spawn sort: there is no program of that name on the PATH (ENOENT)',
      );
    }
  });

  it('is an environment without a PATH', async () => {
    expect(await messageOf('no-such-program', [], { env: {} })).to.equal(
      'could not spawn no-such-program: its environment has no PATH to find it on (ENOENT)',
    );
  });

  it('is a file that does not exist', async () => {
    const program = path.join(folder, 'none');
    expect(await messageOf(program)).to.equal(`could not spawn ${program}: there is no such file (ENOENT)`);
    expect(await messageOf('./none', [], { cwd: folder })).to.equal(
      'could not spawn ./none: there is no such file (ENOENT)',
    );
  });

  it('is a file where a directory should be', async () => {
    const program = path.join(file('plain'), 'program');
    expect(await messageOf(program)).to.equal(`could not spawn ${program}: there is no such file (ENOTDIR)`);
  });

  it('is a working directory that does not exist', async () => {
    for (const cwd of [path.join(folder, 'none'), './no-such-directory']) {
      const error = await failureOf('ls', [], { cwd });
      expect(error.message).to.equal(`could not spawn ls: its working directory does not exist: ${cwd} (ENOENT)`);
      expect(error).to.include({ command: 'ls', cwd });
    }
  });

  it('is the working directory even where the program is missing too', async () => {
    expect(await messageOf('no-such-program', [], { cwd: '/nope' })).to.equal(
      'could not spawn no-such-program: its working directory does not exist: /nope (ENOENT)',
    );
  });

  it('is a working directory that is none', async () => {
    const cwd = file('plain');
    expect(await messageOf('ls', [], { cwd })).to.equal(
      `could not spawn ls: its working directory is no directory: ${cwd} (ENOTDIR)`,
    );
  });

  it('is a #! interpreter that does not exist', async () => {
    for (const [line, interpreter] of [
      ['#!/nope/sh\n', '/nope/sh'],
      ['#! /nope/sh -e\n', '/nope/sh'],
      ['#!\t/nope/sh', '/nope/sh'],
      ['#!no-such-sh\n', 'no-such-sh'],
    ]) {
      const script = file('script', line);
      expect(await messageOf(script)).to.equal(
        `could not spawn ${script}: ${script} exists, but its interpreter '${interpreter}' does not (ENOENT)`,
      );
    }
  });

  it('is a #! line with the line ending of Windows, which is then seen', async () => {
    const script = file('windows', '#!/bin/sh\r\necho hi\r\n');
    expect(await messageOf(script)).to.equal(
      `could not spawn ${script}: ${script} exists, but its interpreter '/bin/sh\\r' does not (ENOENT)`,
    );
  });

  it('is a #! interpreter that is not executable', async () => {
    const script = file('script', `#!${file('plain', '', 0o644)}\n`);
    expect(await messageOf(script)).to.equal(
      `could not spawn ${script}: ${script} is executable, but its interpreter '${folder}/plain' is not (EACCES)`,
    );
  });

  it('is the loader of a binary of another system', async function () {
    const binary = readFileSync('/bin/true');
    const loader = /\/lib[\w/.-]*\/ld-[\w.-]*/.exec(binary.toString('latin1', 0, 4096));
    if (loader === null) this.skip(); // a static binary asks for no loader
    binary.write('nope', loader.index + 1);
    const program = file('foreign', binary);
    expect(await messageOf(program)).to.equal(
      `could not spawn ${program}: ${program} exists, but the loader it asks for does not (ENOENT)`,
    );
  });

  it('is a file that is not executable', async () => {
    const program = file('plain', 'echo hi', 0o644);
    expect(await messageOf(program)).to.equal(`could not spawn ${program}: ${program} is not executable (EACCES)`);
    expect(await messageOf('plain', [], { env: { PATH: folder } })).to.equal(
      `could not spawn plain: ${program} is not executable (EACCES)`,
    );
    expect(await messageOf('plain', [], { env: { PATH: '.' }, cwd: folder })).to.equal(
      `could not spawn plain: ${program} is not executable (EACCES)`,
    );
  });

  it('is a directory that has the name of the program', async () => {
    expect(await messageOf(folder)).to.equal(`could not spawn ${folder}: ${folder} is a directory (EACCES)`);
    expect(await messageOf('sort', [], { env: { PATH: path.join(folder, 'named') } })).to.equal(
      `could not spawn sort: ${folder}/named/sort is a directory (EACCES)`,
    );
  });

  it('is a link that goes in a circle', async () => {
    const [one, two] = [path.join(folder, 'one'), path.join(folder, 'two')];
    symlinkSync(one, two);
    symlinkSync(two, one);
    expect(await messageOf(one)).to.equal(`could not spawn ${one}: too many symbolic links encountered (ELOOP)`);
  });

  it('is an argument that is too long', async () => {
    const error = await failureOf('true', ['abc', 'x'.repeat(3_000_000)], { env: { A: '1' } });
    expect(error.message).to.equal(
      'could not spawn true: 2 arguments of 3000005 bytes (the longest, args[1], has 3000000) and an environment ' +
        'of 4 bytes (the longest variable has 3) are more than the system takes (E2BIG)',
    );
    expect(error.cause).to.include({ code: 'E2BIG' });
  });

  it('is an environment that is too large', async () => {
    const length = stressed(12_000_000, 100_000);
    const env = { A: '1', B: 'ä'.repeat(length), C: undefined };
    expect(await messageOf('/bin/true', [], { env })).to.equal(
      `could not spawn /bin/true: no arguments and an environment of ${2 * length + 7} bytes (the longest variable has ` +
        `${2 * length + 2}) are more than the system takes (E2BIG)`,
    );
  });

  describe('by the word of the system', () => {
    const blame = async (code: string, others?: Partial<ChildSpec>): Promise<string> => {
      const errno = -constants.errno[code as keyof typeof constants.errno];
      const cause = Object.assign(new Error(`spawn ls ${code}`), { code, errno });
      return (await explainSpawnFailure(childSpec('ls', [], others), cause)).message;
    };

    it('is a limit', async () => {
      expect(await blame('EMFILE')).to.equal(
        'could not spawn ls: no descriptor is left: the limit of open files of this process is reached (EMFILE)',
      );
      expect(await blame('ENFILE')).to.equal(
        'could not spawn ls: no descriptor is left: the limit of open files of this system is reached (ENFILE)',
      );
      expect(await blame('EAGAIN')).to.equal('could not spawn ls: the limit of processes is reached (EAGAIN)');
    });

    it('is a user that this process may not become', async () => {
      expect(await blame('EPERM', { uid: 0, gid: 5 })).to.equal(
        'could not spawn ls: this process may not become uid 0, gid 5 (EPERM)',
      );
      expect(await blame('EPERM', { uid: 7 })).to.equal(
        'could not spawn ls: this process may not become uid 7, gid unchanged (EPERM)',
      );
      expect(await blame('EPERM')).to.equal('could not spawn ls: operation not permitted (EPERM)');
    });

    it('is what the system calls it where we know no better', async () => {
      expect(await blame('ETXTBSY')).to.equal('could not spawn ls: text file is busy (ETXTBSY)');
      expect(await blame('ENOMEM')).to.equal('could not spawn ls: not enough memory (ENOMEM)');
      expect(await blame('EUNHEARDOF')).to.equal('could not spawn ls: spawn ls EUNHEARDOF (EUNHEARDOF)');
    });
  });

  it('is told in less than 8 KiB, however long the names are', async () => {
    const long = 'x'.repeat(1_000_000);
    const messages = await Promise.all([
      messageOf(long),
      messageOf('ls', [], { cwd: `/${long}` }),
      messageOf(`/${'y/'.repeat(2000)}`),
      messageOf('ls', [], { cwd: `/${'y/'.repeat(2000)}` }),
      messageOf(file('script', `#!/${'nope/'.repeat(40)}\n`)),
    ]);
    for (const message of messages) expect(Buffer.byteLength(message)).to.be.lessThan(8192);
    expect(messages[0]).to.match(/^could not spawn x{200}\.\.\.: .* \(ENAMETOOLONG\)$/);
    expect(messages[1]).to.match(
      /^could not spawn ls: its working directory cannot be reached: \/x{199}\.\.\. \(ENAMETOOLONG\)$/,
    );
  });

  it('is told without the arguments and the environment, in the error and in all that a log shows of it', async () => {
    const env = { ...process.env, TOKEN: 'secret-variable' };
    for (const command of ['no-such-program', folder, 'true']) {
      const args = ['secret-argument', ...(command === 'true' ? ['x'.repeat(3_000_000)] : [])];
      const error = await failureOf(command, args, { env });
      expect(inspect(error, { depth: Infinity }))
        .to.include('ERR_REXPORT_SPAWN')
        .and.not.include('secret');
      expect(JSON.stringify([error, error.cause])).to.not.include('secret');
    }
  });
});
