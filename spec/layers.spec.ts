import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import ts from 'typescript';

/** Source text by path, both relative to lib. */
type Sources = Record<string, string>;

const lib = path.join(__dirname, '..', 'lib');
const publicEntries = ['../lib/index', '../lib/jetstream'];
/** Optional peer dependencies, and the one file that knows them. */
const peers = ['@nats-io/transport-node', '@nats-io/jetstream'];
const peersDoor = path.join('jetstream', 'peers.ts');
/** Lines of code; comments and empty lines are not counted. */
const maxLines = 450;

// A room is a folder of lib, or a file that lies in lib itself. What a room may see other than its own files:
const leaves = [
  'abort',
  'batch-sender',
  'broken-pipe',
  'errors',
  'fifo',
  'in-order',
  'options',
  'trace',
  'stream-types',
  'streams',
  'user-code',
];
const sees: Record<string, string[]> = {
  index: ['port', 'duplex', 'framing', 'process', 'child', ...leaves],
  port: ['duplex', 'framing', 'process', ...leaves],
  duplex: ['framing', 'process', ...leaves],
  framing: leaves,
  process: leaves,
  child: ['framing', ...leaves],
  jetstream: ['port', 'duplex', 'framing', ...leaves],
  // what stands in for a child in the tests of others
  testing: ['port', 'child', 'framing', ...leaves],
  ...Object.fromEntries(leaves.map((leaf) => [leaf, leaves])),
};

function readSources(folder = lib): Sources {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  return Object.fromEntries(files.map((file) => [file, readFileSync(path.join(folder, file), 'utf8')]));
}

function roomOf(file: string): string {
  return file.split(path.sep)[0]!.replace(/\.ts$/, '');
}

function importsOf(text: string): string[] {
  return ts.preProcessFile(text, true, true).importedFiles.map(({ fileName }) => fileName);
}

function codeLines(text: string): number {
  const withoutBlocks = text.replace(/\/\*[\s\S]*?\*\//g, '');
  return withoutBlocks.split('\n').filter((line) => line.trim() !== '' && !line.trim().startsWith('//')).length;
}

function isRelative(specifier: string): boolean {
  return specifier.startsWith('.');
}

function target(file: string, specifier: string): string {
  return `${path.join(path.dirname(file), specifier)}.ts`;
}

function wrongImports(file: string, sources: Sources): string[] {
  const room = roomOf(file);
  const wrong: string[] = [];
  for (const specifier of importsOf(sources[file]!)) {
    const arrow = `${file} -> ${specifier}`;
    if (isRelative(specifier)) {
      const to = target(file, specifier);
      const toRoom = roomOf(to);
      if (!(to in sources)) wrong.push(`${arrow}: no such file in lib`);
      else if (toRoom !== room && !sees[room]?.includes(toRoom)) wrong.push(`${arrow}: ${room} may not see ${toRoom}`);
    } else if (specifier === 'node:child_process') {
      if (room !== 'process') wrong.push(`${arrow}: only process starts programs`);
    } else if (specifier === 'readable-stream') {
      if (file !== 'streams.ts') wrong.push(`${arrow}: only streams.ts knows readable-stream`);
    } else if (peers.includes(specifier)) {
      if (file !== peersDoor) wrong.push(`${arrow}: only ${peersDoor} knows the client of NATS`);
    } else if (!specifier.startsWith('node:')) {
      wrong.push(`${arrow}: a dependency that is not ours`);
    }
  }
  return wrong;
}

function cyclesFrom(file: string, sources: Sources, seen: Set<string>, trail: string[] = []): string[] {
  if (trail.includes(file)) return [[...trail.slice(trail.indexOf(file)), file].join(' -> ')];
  if (seen.has(file) || !(file in sources)) return [];
  seen.add(file);
  return importsOf(sources[file]!)
    .filter(isRelative)
    .flatMap((specifier) => cyclesFrom(target(file, specifier), sources, seen, [...trail, file]));
}

function faults(sources: Sources): string[] {
  const files = Object.keys(sources).sort();
  const seen = new Set<string>();
  return [
    ...files.filter((file) => !(roomOf(file) in sees)).map((file) => `${file}: a room that the plan does not have`),
    ...files.filter((file) => /.index\.ts$/.test(file)).map((file) => `${file}: a barrel inside a room`),
    ...files.flatMap((file) => wrongImports(file, sources)),
    ...files.flatMap((file) => cyclesFrom(file, sources, seen)).map((cycle) => `${cycle}: a cycle`),
    ...files.flatMap((file) => {
      const lines = codeLines(sources[file]!);
      return lines > maxLines ? [`${file}: ${lines} lines, more than ${maxLines}`] : [];
    }),
  ];
}

describe('the command rexport', () => {
  it('is built from the public names alone, as a user would build it', () => {
    const sources = readSources(path.join(lib, '..', 'check'));
    const wrong = Object.entries(sources).flatMap(([file, text]) =>
      importsOf(text)
        .filter(
          (specifier) =>
            !publicEntries.includes(specifier) &&
            // `rexport serve` connects as a worker of a user's would
            !(file === 'serve.ts' && specifier === '@nats-io/transport-node') &&
            !/^\.\/[a-z-]+$|^node:(?!child_process$)/.test(specifier),
        )
        .map((specifier) => `${file} -> ${specifier}`),
    );
    expect(Object.keys(sources)).to.include('bin.ts');
    expect(wrong).to.deep.equal([]);
  });
});

describe('the layers of lib', () => {
  it('hold: imports run one way, dependencies have one door each, no file is too long', () => {
    expect(faults(readSources())).to.deep.equal([]);
  });

  describe('as checked on a made-up house', () => {
    const house: Sources = {
      'index.ts': "export { Port } from './port/port';",
      'port/port.ts': "import { Child } from '../process/child';\nimport '../errors';",
      'process/child.ts': "import { spawn } from 'node:child_process';\nimport './exit-status';",
      'process/exit-status.ts': '',
      'framing/format.ts': "import type { Code } from '../errors';",
      'child/serve-port.ts': "import '../framing/format';",
      'errors.ts': '',
      'streams.ts': "import userland = require('readable-stream');",
    };

    it('a sound house has no fault', () => {
      expect(faults(house)).to.deep.equal([]);
    });

    const wrong: [title: string, change: Sources, fault: string][] = [
      [
        'process sees duplex',
        { 'process/child.ts': "import '../duplex/redirect';", 'duplex/redirect.ts': '' },
        'process/child.ts -> ../duplex/redirect: process may not see duplex',
      ],
      [
        'framing sees process, if only a type',
        { 'framing/format.ts': "import type { Status } from '../process/exit-status';" },
        'framing/format.ts -> ../process/exit-status: framing may not see process',
      ],
      [
        'process sees framing through an export',
        { 'process/child.ts': "export * from '../framing/format';" },
        'process/child.ts -> ../framing/format: process may not see framing',
      ],
      [
        'child sees port through an import()',
        { 'child/serve-port.ts': "void import('../port/port');" },
        'child/serve-port.ts -> ../port/port: child may not see port',
      ],
      [
        'a room sees index',
        { 'process/exit-status.ts': "import '../index';" },
        'process/exit-status.ts -> ../index: process may not see index',
      ],
      [
        'another room starts programs',
        { 'port/port.ts': "import { spawn } from 'node:child_process';" },
        'port/port.ts -> node:child_process: only process starts programs',
      ],
      [
        'another file knows readable-stream',
        { 'port/port.ts': "const { Duplex } = require('readable-stream');" },
        'port/port.ts -> readable-stream: only streams.ts knows readable-stream',
      ],
      [
        'a second dependency',
        { 'port/port.ts': "import lodash from 'lodash';" },
        'port/port.ts -> lodash: a dependency that is not ours',
      ],
      [
        'another file knows the client of NATS',
        { 'port/port.ts': "import { connect } from '@nats-io/transport-node';" },
        'port/port.ts -> @nats-io/transport-node: only jetstream/peers.ts knows the client of NATS',
      ],
      [
        'an import from outside lib',
        { 'errors.ts': "import '../spec/x';" },
        'errors.ts -> ../spec/x: no such file in lib',
      ],
      ['a barrel', { 'process/index.ts': '' }, 'process/index.ts: a barrel inside a room'],
      ['a new room', { 'utils.ts': '' }, 'utils.ts: a room that the plan does not have'],
      [
        'a cycle inside a room',
        { 'process/exit-status.ts': "import './child';" },
        'process/child.ts -> process/exit-status.ts -> process/child.ts: a cycle',
      ],
      ['a long file', { 'errors.ts': 'void 0;\n'.repeat(451) }, 'errors.ts: 451 lines, more than 450'],
    ];

    for (const [title, change, fault] of wrong) {
      it(`${title}: a fault`, () => expect(faults({ ...house, ...change })).to.include(fault));
    }
  });
});
