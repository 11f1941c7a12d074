import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import * as rexport from '../lib/index';
import { scripts } from '../package.json';
import { withGeneratedTables } from './support/doc-tables';
import {
  anchorsOf,
  blocksOf,
  GENERATED,
  linksOf,
  namesUnder,
  page,
  pages,
  repository,
  tablesOf,
  type Block,
} from './support/pages';
import { PagesProject, type Run } from './support/pages-project';
import { stressed } from './support/stress';

const README_LINES = 220;
const PAGE_LINES = 350;

/** Their blocks need more than Node: spec/jetstream/queue-page.spec.ts and spec/real/warm-services-page.real.ts run them. */
const RUN_ELSEWHERE = ['docs/queue.md', 'docs/warm-services.md'];
const all = pages.filter(({ file }) => !RUN_ELSEWHERE.includes(file)).flatMap(blocksOf);
const programs = all.filter(({ language }) => language === 'ts');
const commands = all.filter(({ language }) => language === 'sh');
/** npm works on the repository, not in a project of a user's: what these name is looked up. */
const npmCommands = commands.filter(({ code }) => /^npm /m.test(code));
/** `npm run docs`, as CI does it, proves the same. */
const generated = stressed(
  pages.filter(({ text }) => /<!-- (?:options|verdicts|numbers)/.test(text)),
  [],
);
/** What a reader meets first: the README's, and the first one of each page. */
const firsts = programs.filter(
  ({ file }, n) => file === 'README.md' || programs.findIndex((other) => other.file === file) === n,
);
const runnable = stressed([...programs, ...commands.filter((block) => !npmCommands.includes(block))], firsts);
/** Those that only spec/real can run, and in small all others. */
const compiled = pages
  .flatMap(blocksOf)
  .filter((block) => block.language === 'ts' && !runnable.includes(block) && block.file !== 'docs/queue.md');

describe('README and docs', () => {
  let project: PagesProject;
  let runs: Map<Block, Run>;
  let watchedRun: Run;
  let withTables: Record<string, string>;

  before('type-check and run every block', async function () {
    this.timeout(600_000);
    project = await PagesProject.of([...runnable, ...compiled]);
    [runs, watchedRun, withTables] = await Promise.all([
      project.run(runnable),
      project.start(programs[0]!, { NODE_DEBUG: 'rexport' }).run,
      withGeneratedTables(generated.map(({ file }) => file)),
    ]);
  });

  after(() => project?.remove());

  for (const block of runnable) {
    const { file, heading, line, language, output = '' } = block;
    it(`${file}, ${heading}, line ${line}: ${language === 'ts' ? 'compiles, runs, prints what it shows' : 'runs'}`, () => {
      expect(project.faults.get(block) ?? []).to.deep.equal([]);
      const { exitCode, stdout, stderr } = runs.get(block)!;
      expect(exitCode, stderr + stdout).to.equal(0);
      if (language === 'ts') expect(lines(stdout)).to.deep.equal(lines(output));
    });
  }

  for (const block of compiled) {
    it(`${block.file}, ${block.heading}, line ${block.line}: compiles`, () => {
      expect(project.faults.get(block)).to.deep.equal([]);
    });
  }

  for (const { file, line, code } of npmCommands) {
    it(`${file}, line ${line}: names scripts of package.json`, () => {
      for (const command of code.trimEnd().split(/\n| && /)) {
        const [, script] = /^npm (?:run )?([\w:-]+)/.exec(command) ?? [];
        expect(['ci', 'pack', ...Object.keys(scripts)], command).to.include(script);
      }
    });
  }

  it('shows what NODE_DEBUG=rexport prints', () => {
    const shown = all.find(({ language, code }) => language === 'text' && code.startsWith('REXPORT'));
    expect(lines(watchedRun.stderr)).to.deep.equal(lines(shown!.code));
  });

  it('the README has the two commands on lines of their own', () => {
    expect(page('README.md').text.split('\n')).to.include.members(['npm ci && npm run demo', 'npm ci && npm test']);
  });

  it('are short enough to be read', () => {
    const tooLong = pages
      .map(({ file, text }) => ({ file, lines: text.trimEnd().split('\n').length }))
      .filter((one) => one.lines > (one.file === 'README.md' ? README_LINES : PAGE_LINES));
    expect(tooLong).to.deep.equal([]);
  });

  for (const one of [...pages, ...['CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md'].map(page)]) {
    it(`${one.file}: every link leads somewhere`, () => {
      const broken = linksOf(one).filter(({ target }) => !leads(one.file, target));
      expect(broken).to.deep.equal([]);
    });
  }

  it('the README leads to every page', () => {
    const targets = linksOf(page('README.md')).map(({ target }) => target);
    expect(targets).to.include.members([...pages.slice(1).map(({ file }) => file), GENERATED]);
  });

  for (const { file, text } of generated) {
    it(`${file}: its generated tables are those of the doc comments (else: npm run docs)`, () => {
      expect(tablesOf({ file, text })).to.deep.equal(tablesOf({ file, text: withTables[file]! }));
    });
  }

  it('name every option of a PortDuplex', () => {
    const known = optionsOf(() => new rexport.PortDuplex('true', { 'no option': 1 } as object));
    expect(namesUnder('docs/streams.md', 'Options')).to.have.members(known);
  });

  it('name every option of a Port and of a PortPool', () => {
    const optionNames = (file: string): string[] =>
      tablesOf(page(file)).flatMap(({ columns, rows }) =>
        ['Option', 'Name'].includes(columns[0]!) ? rows.map(([name = '']) => name.replaceAll('`', '')) : [],
      );
    const named = [
      'docs/streams.md',
      'docs/messages.md',
      'docs/port.md',
      'docs/monitor.md',
      'docs/protocols.md',
    ].flatMap(optionNames);
    const port = optionsOf(() => new rexport.Port('true', { 'no option': 1 } as object));
    const pool = optionsOf(() => new rexport.PortPool('true', { 'no option': 1 } as object));
    expect(named).to.include.members(port);
    expect(optionNames('docs/pool.md')).to.have.members(pool.filter((option) => !port.includes(option)));
  });

  it('name every error class, with its code', () => {
    const [table] = tablesOf(page('docs/errors.md'));
    const named = table!.rows.map(([name = '']) => name.replaceAll('`', ''));
    const classes = Object.entries(rexport).filter(
      ([, value]) => 'prototype' in value && (value.prototype as unknown) instanceof Error,
    );
    expect([...named, 'RexPortError']).to.have.members(classes.map(([name]) => name));
  });
});

/** Whether a link of a page leads to a file, and to a heading of it where it names one. */
function leads(from: string, target: string): boolean {
  if (/^https?:/.test(target)) return true;
  const [name = '', anchor] = target.split('#');
  const file = name === '' ? from : path.posix.join(path.posix.dirname(from), name);
  const full = path.join(repository, file);
  if (!existsSync(full)) return false;
  if (anchor === undefined) return true;
  return statSync(full).isFile() && anchorsOf({ file, text: readFileSync(full, 'utf8') }).includes(anchor);
}

/** Without what differs from run to run. */
function lines(output: string): string[] {
  return output
    .replace(/\d+ ms/g, 'N ms')
    .replace(/(REXPORT|pid) \d+/g, '$1 N')
    .trimEnd()
    .split('\n');
}

/** Those that the constructor knows, as its refusal of an unknown one lists them. */
function optionsOf(construct: () => unknown): string[] {
  try {
    construct();
  } catch (error) {
    return /among (.*), got/.exec((error as Error).message)![1]!.split(', ');
  }
  throw new Error('expected a throw');
}
