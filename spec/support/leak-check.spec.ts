import { execFile } from 'node:child_process';
import path from 'node:path';
import { expect } from 'chai';

interface MochaReport {
  passes: { title: string }[];
  failures: { title: string; err: { message: string } }[];
}

/** Failures by title; a run of its own, since a leak here would fail this suite. */
function runFixtures(name: string): Promise<Map<string, string>> {
  const args = [
    require.resolve('mocha/bin/mocha.js'),
    '--no-config',
    ...['--require', 'ts-node/register'],
    ...['--require', path.join(__dirname, 'leak-check.ts')],
    ...['--reporter', 'json'],
    path.join(__dirname, 'fixtures', name),
  ];
  return new Promise((resolve, reject) => {
    // their bounds are short on purpose, and STRESS=1 would make them four times as long
    const env = { ...process.env, STRESS: '', LEAK_CHECK_SETTLE_MS: '300' };
    execFile(process.execPath, args, { env }, (error, stdout, stderr) => {
      try {
        const report = JSON.parse(stdout) as MochaReport;
        resolve(new Map(report.failures.map(({ title, err }) => [title, err.message])));
      } catch {
        reject(new Error(`no report from mocha: ${stderr}`, { cause: error }));
      }
    });
  });
}

describe('the leak check', () => {
  let failures: Map<string, string>;
  let failuresWhileGoingOn: Map<string, string>;

  before('one run of each file of fixtures', async function () {
    [failures, failuresWhileGoingOn] = await Promise.all([runFixtures('leaking.ts'), runFixtures('going-on.ts')]);
  });

  it('fails a spec that leaves a child behind, with its command line', function () {
    if (process.platform !== 'linux') this.skip(); // children and descriptors are counted in /proc
    expect(failures.get('a child')).to.match(/child process \d+: sleep 60\.001$/m);
  });

  it('fails a spec that leaves a descriptor behind, with its target', function () {
    if (process.platform !== 'linux') this.skip(); // children and descriptors are counted in /proc
    expect(failures.get('a descriptor')).to.match(/descriptor of .*fixtures\/leaking\.ts$/m);
  });

  it('fails a spec that leaves timers behind, unref’ed or not, with the lines that made them', () => {
    expect(failures.get('a timer')?.match(/timer made at .*leaking\.ts:\d+:\d+\)?$/gm)).to.have.length(2);
  });

  it('fails a spec that leaves listeners on process behind, with the names of the events', () => {
    expect(failures.get('a listener')).to.include("'SIGWINCH'").and.include("'an-event-of-no-library'");
  });

  it('fails the run when a suite leaves behind what it made in `before`', () => {
    expect(failures.get('"after all" hook: afterAll in "{root}"')).to.equal(
      "left behind:\n  - listener on process for 'SIGCONT'",
    );
  });

  it('lets pass a spec that leaves nothing, or clears it in its hooks, or needs a few turns', () => {
    expect([...failures.keys()]).to.have.members([
      'a child',
      'a descriptor',
      'a timer',
      'a listener',
      'keeps its own reason',
      '"after all" hook: afterAll in "{root}"',
    ]);
  });

  it('leaves a spec that fails its own reason', () => {
    expect(failures.get('keeps its own reason')).to.equal('the reason');
  });

  it('waits for a spec that ran out of time, and names it for what is left behind while it goes on', () => {
    const last = '"after all" hook: afterAll in "{root}"';
    expect([...failuresWhileGoingOn.keys()]).to.have.members([
      'and goes on with what it does',
      'and never ends',
      'and repeats',
      last,
    ]);
    expect(failuresWhileGoingOn.get(last)).to.match(
      /^“a spec that runs out of time and never ends”, which ran out of time and went on, left behind:\n( {2}- listener on process for 'late-[\d.]+'\n?)+$/,
    );
  });
});
