import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import type { Row } from '../../check/check';
import type { Program } from '../../check/conversation';
import { Checks, failures } from '../support/check';
import { programPath } from '../support/programs';
import { skipWithout, stressed } from '../support/stress';

describe('rexport check on programs that keep it', () => {
  const example = (name: string): string => path.join(__dirname, '..', '..', 'examples', 'children', name);
  let folder: string;
  const built = (name: string): string => path.join(folder, name);

  type Language = readonly [
    name: string,
    probe: readonly [string, ...string[]],
    run: () => Pick<Program, 'command' | 'args' | 'channel'> & { readonly packet?: 1 | 2 },
    build?: () => readonly [string, string[]],
  ];
  const node = { command: process.execPath };
  const all: readonly Language[] = [
    ['servePort', ['true'], () => ({ ...node, args: [programPath('echoing')] })],
    ['servePort, {packet, 1}', ['true'], () => ({ ...node, args: [programPath('echoing'), '1'], packet: 1 })],
    ['servePort, {packet, 2}', ['true'], () => ({ ...node, args: [programPath('echoing'), '2'], packet: 2 })],
    [
      'servePort on descriptors 3 and 4',
      ['true'],
      () => ({ ...node, args: [programPath('echoing'), '4', 'fd3'], channel: 'fd3' }),
    ],
    [
      'child.ts',
      ['true'],
      () => ({ ...node, args: [path.resolve(programPath('echoing'), '../../../examples/children/child.js')] }),
    ],
    ['child.py', ['python3', '--version'], () => ({ command: 'python3', args: [example('child.py')] })],
    [
      'child.py on descriptors 3 and 4',
      ['python3', '--version'],
      () => ({ command: 'python3', args: [example('child.py'), 'fd3'], channel: 'fd3' }),
    ],
    ['child.pl', ['perl', '-v'], () => ({ command: 'perl', args: [example('child.pl')] })],
    ['child.rb', ['ruby', '--version'], () => ({ command: 'ruby', args: [example('child.rb')] })],
    [
      'child.c',
      ['cc', '--version'],
      () => ({ command: built('child-c'), args: [] }),
      () => ['cc', ['-Wall', '-Wextra', '-Werror', '-O1', '-o', built('child-c'), example('child.c')]],
    ],
    [
      'child.c on descriptors 3 and 4',
      ['cc', '--version'],
      () => ({ command: built('child-c-fd3'), args: ['fd3'], channel: 'fd3' }),
      () => ['cc', ['-O1', '-o', built('child-c-fd3'), example('child.c')]],
    ],
    [
      'child.rs',
      ['rustc', '--version'],
      () => ({ command: built('child-rs'), args: [] }),
      () => ['rustc', ['-o', built('child-rs'), example('child.rs')]],
    ],
    [
      'Child.java',
      ['javac', '--version'],
      () => ({ command: 'java', args: ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-cp', folder, 'Child'] }),
      () => ['javac', ['-d', folder, example('Child.java')]],
    ],
    [
      'child.sh',
      ['sh', '-c', 'head -c 1 /dev/zero | od >/dev/null'],
      () => ({ command: 'sh', args: [example('child.sh')] }),
    ],
  ];

  // docs.spec.ts has the commands that check child.py and child.c; the others take a compiler, or a Node for each case
  const usual = ['child.ts', 'child.pl'];
  const languages = stressed(
    all,
    all.filter(([name]) => usual.includes(name)),
  );
  const isHere = new Map(languages.map(([name, [command, ...args]]) => [name, spawnSync(command, args).status === 0]));
  const results = new Map<string, () => readonly Row[]>();

  before(function () {
    this.timeout(300_000);
    folder = mkdtempSync(path.join(tmpdir(), 'rexport-children-'));
    const here = languages.filter(([name]) => isHere.get(name));
    for (const [name, , , build] of here) {
      if (build === undefined) continue;
      const { status, stderr } = spawnSync(...(build() as [string, string[]]), { encoding: 'utf8' });
      expect(status, `${name}: ${stderr}`).to.equal(0);
    }
    const checks = new Checks();
    for (const [name, , run] of here) {
      const { packet = 4, ...program } = run();
      results.set(name, checks.check({ timeoutMs: 15_000, timing: { longDripMs: 30 }, ...program }, { packet }));
    }
    return checks.run();
  });

  after(() => rmSync(folder, { recursive: true, force: true }));

  for (const [name, [compiler]] of languages) {
    it(`${name} conforms`, function () {
      // what runs it, or compiles it
      if (!isHere.get(name)) skipWithout(this, compiler);
      const rows = results.get(name)!();
      expect(failures(rows), compiler).to.deep.equal([]);
      const others = rows.filter(({ result }) => result !== 'ok').map((row) => row.name);
      expect(others).to.deep.equal(name.includes('{packet') ? ['a large message'] : []);
    });
  }
});
