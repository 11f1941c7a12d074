import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Port } from '../../lib';
import { pattern } from '../support/frames';
import { program } from '../support/ports';
import { requirePrograms, stressed } from '../support/stress';

const KIB = 1024;
/** Many times what a pipe holds. */
const LARGE = stressed(8, 1) * KIB * KIB;

interface Language {
  readonly name: string;
  /** What it needs in the path. */
  readonly programs: readonly string[];
  /** What is to be done before, in a folder that is removed after. */
  readonly build?: (folder: string) => readonly [string, string[]];
  readonly run: (folder: string, packet: number) => readonly [string, string[]];
  /** The most that goes through in good time. */
  readonly mostBytes: number;
}

const some: readonly Language[] = [
  {
    name: 'python3',
    programs: ['python3'],
    run: (_folder, packet) => ['python3', [program('echo.py'), `${packet}`]],
    mostBytes: LARGE,
  },
  {
    name: 'perl',
    programs: ['perl'],
    run: (_folder, packet) => ['perl', [program('echo.pl'), `${packet}`]],
    mostBytes: LARGE,
  },
  {
    name: 'sh, dd and od',
    programs: ['dd', 'od'],
    run: (_folder, packet) => ['sh', [program('echo.sh'), `${packet}`]],
    mostBytes: 4 * KIB,
  },
];

/** Those that take long to build or to start. */
const others: readonly Language[] = [
  {
    name: 'node',
    programs: [],
    run: (_folder, packet) => [process.execPath, [program('echo.mjs'), `${packet}`]],
    mostBytes: LARGE,
  },
  {
    name: 'C',
    programs: ['cc'],
    build: (folder) => ['cc', ['-O1', '-o', path.join(folder, 'echo'), program('echo.c')]],
    run: (folder, packet) => [path.join(folder, 'echo'), [`${packet}`]],
    mostBytes: LARGE,
  },
  {
    name: 'Erlang',
    programs: ['erl', 'erlc'],
    build: (folder) => ['erlc', ['-o', folder, program('echo.erl')]],
    run: (folder, packet) => ['erl', ['-noinput', '-pa', folder, '-run', 'echo', 'main', `${packet}`]],
    mostBytes: LARGE,
  },
];

const SIZES = [0, 1, 10, 13, 127, 128, 255, 256, 4095, 4097, 32767, 65535, 65536, 65537, 100_000, LARGE];

const PACKETS: readonly (1 | 2 | 4)[] = [1, 2, 4];

for (const { name, programs, build, run, mostBytes } of [...some, ...stressed(others, [])]) {
  describe(`Port and a child in ${name}`, () => {
    let folder: string;

    before(function () {
      requirePrograms(this, ...programs);
      folder = mkdtempSync(path.join(tmpdir(), 'rexport-interop-'));
      const building = build?.(folder);
      if (building === undefined) return;
      const { status, stderr } = spawnSync(...(building as [string, string[]]), { encoding: 'utf8' });
      expect(status, stderr).to.equal(0);
    });

    after(() => {
      if (folder !== undefined) rmSync(folder, { recursive: true });
    });

    for (const packet of name === 'perl' ? PACKETS : stressed(PACKETS, [4])) {
      it(`brings back messages of every size and every byte, {packet, ${packet}}`, async function () {
        const [command, args] = run(folder, packet);
        await using port = new Port(command, args, { packet, maxInFlight: 4 });
        const sizes = SIZES.filter((bytes) => bytes <= Math.min(mostBytes, 2 ** (8 * packet) - 1));
        const messages = sizes.map(pattern);
        const replies = await Promise.all(messages.map((message) => port.request(message)));
        expect(replies.map((reply) => reply.length)).to.deep.equal(sizes);
        for (const [n, reply] of replies.entries()) {
          if (!reply.equals(messages[n]!)) expect.fail(`the reply of ${reply.length} bytes differs`);
        }
        expect(port.restarts).to.equal(0);
      });
    }

    it('leaves with code 0 at the end of its input, when the port is closed', async () => {
      const [command, args] = run(folder, 4);
      const port = new Port(command, args);
      const statuses: unknown[] = [];
      port.on('exit', (_child, { exitCode }) => statuses.push(exitCode));
      expect(String(await port.request('hello'))).to.equal('hello');
      await port.close();
      expect(statuses).to.deep.equal([0]);
    });
  });
}
