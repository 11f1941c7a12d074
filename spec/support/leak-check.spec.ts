import { expect } from 'chai';
import { runFixtures } from './fixture-run';

/** Failures by title. */
async function failuresOf(names: readonly string[], settleMs: number): Promise<Map<string, string>> {
  // their bounds are short on purpose, and STRESS=1 would make them four times as long
  const env = { STRESS: '', LEAK_CHECK_SETTLE_MS: String(settleMs) };
  const { failures } = await runFixtures(names, env, 'leak-check');
  return new Map(failures.map(({ title, err }) => [title, err.message]));
}

describe('the leak check', () => {
  let failures: Map<string, string>;
  let failuresWhileGoingOn: Map<string, string>;

  before('one run of each file of fixtures', async function () {
    [failures, failuresWhileGoingOn] = await Promise.all([
      failuresOf(['leaking', 'settling'], 150),
      failuresOf(['going-on'], 300),
    ]);
  });

  it('fails a spec that leaves a child behind, with its command line', function () {
    if (process.platform !== 'linux') this.skip(); // children and descriptors are counted in /proc
    expect(failures.get('a child')).to.match(/child process \d+: sleep 60\.001$/m);
  });

  it('fails a spec that leaves a descriptor behind, with its target', function () {
    if (process.platform !== 'linux') this.skip(); // children and descriptors are counted in /proc
    expect(failures.get('a descriptor')).to.match(/descriptor of .*fixtures\/leaking\.js$/m);
  });

  it('fails a spec that leaves timers behind, unref’ed or not, with the lines that made them', () => {
    expect(failures.get('a timer')?.match(/timer made at .*leaking\.js:\d+:\d+\)?$/gm)).to.have.length(2);
  });

  it('fails a spec that leaves listeners on process behind, with the names of the events', () => {
    expect(failures.get('a listener')).to.include("'SIGWINCH'").and.include("'an-event-of-no-library'");
  });

  it('fails the run when a suite leaves behind what it made in `before`', () => {
    expect(failures.get('"after all" hook: afterAll in "{root}"')).to.equal(
      "left behind:\n  - listener on process for 'SIGCONT'",
    );
  });

  it('lets pass a spec or a file that leaves nothing, or clears it in its hooks, or needs a few turns', () => {
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
