import { accessSync, constants, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import { parse } from 'yaml';
import { engines, scripts } from '../package.json';
import { repository } from './support/pages';

interface Step {
  readonly uses?: string;
  readonly run?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly with?: { readonly 'node-version'?: number };
}

interface Job {
  readonly 'runs-on': string;
  readonly 'continue-on-error'?: boolean;
  readonly strategy?: { readonly matrix: { readonly os: readonly string[] } };
  readonly steps: readonly Step[];
}

interface Workflow {
  readonly on: object;
  readonly permissions: Readonly<Record<string, string>>;
  readonly jobs: Readonly<Record<string, Job>>;
}

const folder = path.join(repository, '.github');

function read<T>(...names: string[]): T {
  return parse(readFileSync(path.join(folder, ...names), 'utf8'), { strict: true }) as T;
}

function commandsOf({ jobs }: Workflow): string[] {
  return Object.values(jobs).flatMap(({ steps }) => steps.flatMap(({ run }) => (run === undefined ? [] : [run])));
}

describe('the workflows of the repository', () => {
  const names = readdirSync(path.join(folder, 'workflows'));

  for (const name of names) {
    const workflow = read<Workflow>('workflows', name);

    it(`${name} is YAML with jobs, and every step does something`, () => {
      expect(workflow).to.have.property('on').that.is.an('object');
      const steps = Object.values(workflow.jobs).flatMap((job) => job.steps);
      expect(steps).not.to.have.length(0);
      for (const step of steps) expect([step.uses, step.run].filter((what) => what !== undefined)).to.have.length(1);
    });

    it(`${name} runs commands that exist`, () => {
      for (const command of commandsOf(workflow)) {
        const [program = '', ...args] = command.split(' ');
        if (program.startsWith('.')) accessSync(path.join(repository, program), constants.X_OK);
        else if (program === 'npm' && args[0] === 'run') expect(scripts).to.have.property(args[1]!);
        else if (program === 'npm') expect(['ci', 'test', 'publish']).to.include(args[0]);
        else expect(program).to.equal('test');
      }
    });

    it(`${name} sets up a Node that we support`, () => {
      const least = Number(/\d+/.exec(engines.node)![0]);
      const versions = Object.values(workflow.jobs).flatMap(({ steps }) =>
        steps.flatMap((step) => step.with?.['node-version'] ?? []),
      );
      expect(versions).not.to.have.length(0);
      for (const version of versions) expect(version).to.be.at.least(least);
    });
  }

  it('CI runs .ci/run on Linux, and the suite on macOS and Windows, which may fail', () => {
    const { linux, others } = read<Workflow>('workflows', 'ci.yml').jobs;
    expect(linux!['runs-on']).to.equal('ubuntu-latest');
    expect(linux).not.to.have.property('continue-on-error');
    expect(linux!.steps.map(({ run }) => run)).to.include('.ci/run');
    expect(others!.strategy!.matrix.os).to.deep.equal(['macos-latest', 'windows-latest']);
    expect(others!['continue-on-error']).to.equal(true);
    expect(others!.steps.map(({ run }) => run)).to.include('npm test');
  });

  it('CI runs the full sizes of the specs, beside .ci/run', () => {
    const { full } = read<Workflow>('workflows', 'ci.yml').jobs;
    expect(full).not.to.have.property('continue-on-error');
    const [installed, , suite] = full!.steps.slice(-3);
    expect(installed).to.include({ run: '.ci/install-programs' });
    expect(suite).to.deep.equal({ run: 'npm test', env: { CI: 'true', STRESS: '1' } });
  });

  it('a release is published with provenance, after the suite', () => {
    const workflow = read<Workflow>('workflows', 'release.yml');
    expect(workflow.permissions['id-token']).to.equal('write');
    const commands = commandsOf(workflow);
    expect(commands.at(-1)).to.match(/^npm publish .*--provenance/);
    expect(commands).to.include('npm test');
  });

  it('the issue template asks for a program that shows the bug', () => {
    const { body } = read<{ body: readonly { id: string }[] }>('ISSUE_TEMPLATE', 'bug.yml');
    expect(body.map(({ id }) => id)).to.include('program');
  });
});
