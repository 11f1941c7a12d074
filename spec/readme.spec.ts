import { expect } from 'chai';
import * as rexport from '../lib/index';
import { blocks, readme, tableUnder, type Block } from './support/readme';
import { ReadmeProject, type Run } from './support/readme-project';

const programs = blocks().filter(({ language }) => language === 'ts');
const watched = blocks().find(({ language, code }) => language === 'text' && code.startsWith('REXPORT'));

describe('the README', () => {
  let project: ReadmeProject;
  let runs: Map<Block, Run>;
  let watchedRun: Run | undefined;

  before('type-check and run every block', async function () {
    this.timeout(60_000);
    project = new ReadmeProject(programs);
    runs = await project.run(programs);
    const first = programs.slice(0, 1);
    watchedRun = (await project.run(first, { NODE_DEBUG: 'rexport' })).get(first[0]!);
  });

  after(() => project.remove());

  for (const block of programs) {
    const { heading, line, output = '' } = block;
    it(`${heading}, line ${line}: compiles, runs, prints what it shows`, () => {
      expect(project.faults.get(block)).to.deep.equal([]);
      const { exitCode, stdout, stderr } = runs.get(block)!;
      expect(exitCode, stderr).to.equal(0);
      expect(lines(stdout)).to.deep.equal(lines(output));
    });
  }

  it('shows what NODE_DEBUG=rexport prints', () => {
    expect(lines(watchedRun!.stderr)).to.deep.equal(lines(watched!.code));
  });

  it('has the two commands on lines of their own', () => {
    expect(readme.split('\n')).to.include.members(['npm ci && npm run demo', 'npm ci && npm test']);
  });

  it('names every option', () => {
    const named = tableUnder('Options').rows.flatMap(([names = '']) => names.replaceAll('`', '').split(', '));
    const known = /among (.*), got/.exec(messageOf(() => new rexport.PortDuplex('true', { 'no option': 1 } as object)));
    expect(named).to.have.members(known![1]!.split(', '));
  });

  it('names every option of a pool besides those of a port', () => {
    const named = tableUnder('Options of PortPool').rows.map(([name = '']) => name.replaceAll('`', ''));
    const [pool = [], port = []] = [rexport.PortPool, rexport.Port].map((Class) => {
      const message = messageOf(() => new Class('true', { 'no option': 1 } as object));
      return /among (.*), got/.exec(message)![1]!.split(', ');
    });
    expect(named).to.have.members(pool.filter((option) => !port.includes(option)));
  });

  it('names every error class', () => {
    const named = tableUnder('Errors').rows.map(([name = '']) => name.replaceAll('`', ''));
    const classes = Object.entries(rexport).filter(
      ([, value]) => 'prototype' in value && (value.prototype as unknown) instanceof Error,
    );
    expect([...named, 'RexPortError']).to.have.members(classes.map(([name]) => name));
  });
});

/** Without what differs from run to run. */
function lines(output: string): string[] {
  return output
    .replace(/\d+ ms/g, 'N ms')
    .replace(/(REXPORT|pid) \d+/g, '$1 N')
    .trimEnd()
    .split('\n');
}

function messageOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('expected a throw');
}
