import { execFile } from 'node:child_process';
import path from 'node:path';
import { expect } from 'chai';

interface MochaReport {
  pending: { title: string }[];
  failures: { title: string; err: { message: string } }[];
  passes: { title: string }[];
}

/** A run of its own: the environment is read once, and a failure there would be one here. */
function runFixtures(env: NodeJS.ProcessEnv): Promise<MochaReport> {
  const args = [
    require.resolve('mocha/bin/mocha.js'),
    '--no-config',
    ...['--require', 'ts-node/register'],
    ...['--reporter', 'json'],
    path.join(__dirname, 'fixtures', 'stressed.ts'),
  ];
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, { env: { ...process.env, ...env } }, (error, stdout, stderr) => {
      try {
        resolve(JSON.parse(stdout) as MochaReport);
      } catch {
        reject(new Error(`no report from mocha: ${stderr}`, { cause: error }));
      }
    });
  });
}

function titles(runs: readonly { title: string }[]): string[] {
  return runs.map(({ title }) => title);
}

describe('what the specs need from the machine', () => {
  let developer: MochaReport;
  let ci: MochaReport;

  before('a run as a developer has it, and one as CI has it', async () => {
    [developer, ci] = await Promise.all([
      runFixtures({ CI: 'false', STRESS: '0' }),
      runFixtures({ CI: 'true', STRESS: '1' }),
    ]);
  });

  it('a spec whose program is missing is skipped, and its title says which program', () => {
    expect(titles(developer.pending)).to.deep.equal([
      'alone (skipped: no a-program-nobody-has here)',
      'in a suite (skipped: no a-program-nobody-has here)',
      'in a suite of that suite (skipped: no a-program-nobody-has here)',
    ]);
    expect(titles(developer.passes)).to.deep.equal(['sizes 10', 'runs, with a program that is there']);
    expect(developer.failures).to.deep.equal([]);
  });

  it('with CI=true it fails, and says which program', () => {
    expect(ci.pending).to.deep.equal([]);
    expect(titles(ci.passes)).to.deep.equal(['sizes 1000', 'runs, with a program that is there']);
    expect(ci.failures.map(({ err }) => err.message)).to.deep.equal(
      Array<string>(2).fill('expected a-program-nobody-has to be there, since CI=true'),
    );
  });
});
