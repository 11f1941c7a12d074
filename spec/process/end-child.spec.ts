import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import type { Child } from '../../lib/process/child';
import { endChild, ladder, type Rung } from '../../lib/process/end-child';
import type { EndTrace } from '../../lib/trace';
import { closed, shell, spawnChild } from '../support/children';
import { isAlive, signalsSentDuring, survivors } from '../support/processes';

interface Ending {
  readonly steps: string[];
  readonly ms: number;
}

/** Ends the child; which steps were taken, and how long it took. */
async function end(child: Child, rungs: readonly Rung[]): Promise<Ending> {
  const steps: string[] = [];
  const note = (fact: unknown): void => {
    const { pid, step } = fact as EndTrace;
    if (pid === child.pid) steps.push(step);
  };
  subscribe('rexport:end', note);
  const startedAt = performance.now();
  // the reader of stderr, here nobody, lets go of it after the exit
  child.onExit(() => child.stderr?.destroy());
  await new Promise<void>((resolve) => endChild(child, rungs, resolve));
  unsubscribe('rexport:end', note);
  return { steps, ms: performance.now() - startedAt };
}

/** A child that has said that its traps are set. */
async function ready(script: string, others?: Parameters<typeof shell>[1]): Promise<{ child: Child; said: string }> {
  const child = shell(script, others);
  const said = String(await once(child.stdout!, 'data'));
  return { child, said };
}

const ignoresTerm = 'trap "" TERM; echo ready; exec sleep 30';

describe('the ladder', () => {
  it('is the signal, SIGKILL after the time, our end of stdout, and then nothing more; stdin stays open all the time', () => {
    expect(ladder('SIGINT', 300)).to.deep.equal([
      { step: 'SIGINT', waitMs: 300 },
      { step: 'SIGKILL', waitMs: 0 },
      { step: 'release output', waitMs: 1000 },
      { step: 'give up', waitMs: 0 },
    ]);
  });
});

describe('endChild', () => {
  it('goes no further than a child needs that obeys', async () => {
    const { child } = await ready('trap "exit 7" INT; echo ready; while :; do sleep 0.01; done');
    const { steps, ms } = await end(child, ladder('SIGINT', 5000));
    expect(steps).to.deep.equal(['SIGINT']);
    expect(child.status).to.include({ exitCode: 7, signal: null });
    expect(ms).to.be.lessThan(1000);
  });

  it('keeps stdin open until the child is gone: one that waits for its end after SIGTERM never sees it', async () => {
    const reader = '$SIG{TERM} = sub { print "asked\\n" }; $| = 1; print "ready\\n"; 1 while <STDIN>; exit 0';
    const child = spawnChild('perl', ['-e', reader]);
    await once(child.stdout!, 'data');
    const { steps } = await end(child, ladder('SIGTERM', 200));
    expect(steps).to.deep.equal(['SIGTERM', 'SIGKILL', 'release output']);
    expect(child.status).to.include({ signal: 'SIGKILL' });
    expect(child.stdin!.destroyed).to.equal(true);
  });

  it('keeps a process with nothing else to do alive until the child is gone, also one that was unref’ed', async () => {
    const child = spawnChild('sleep', ['30']);
    const count = (): number => process.getActiveResourcesInfo().filter((type) => type === 'ProcessWrap').length;
    child.setRef(false);
    const before = count();
    const ended = end(child, ladder('SIGTERM', 5000));
    expect(count()).to.equal(before + 1);
    await ended;
  });

  it('sends SIGKILL after forceKillAfterMs to a child that ignores SIGTERM', async () => {
    const { child } = await ready(ignoresTerm);
    const startedAt = performance.now();
    // a timer of the same length, for a machine that is late itself
    const reference = delay(300).then(() => performance.now() - startedAt);
    const { steps, ms } = await end(child, ladder('SIGTERM', 300));
    expect(steps).to.deep.equal(['SIGTERM', 'SIGKILL', 'release output']);
    expect(child.status).to.include({ exitCode: null, signal: 'SIGKILL' });
    expect(ms).to.be.within(299, (await reference) + 100);
  });

  it('sends SIGKILL at once where forceKillAfterMs is 0', async () => {
    const { child } = await ready(ignoresTerm);
    const { ms } = await end(child, ladder('SIGTERM', 0));
    expect(child.status?.signal).to.equal('SIGKILL');
    expect(ms).to.be.lessThan(1000);
  });

  it('sends nothing to a child that has ended by itself', async () => {
    const child = spawnChild('true');
    await closed(child);
    expect((await end(child, ladder('SIGTERM', 5000))).steps).to.deep.equal([]);
  });

  it('is not delayed by a descendant that holds the pipes', async () => {
    const { child, said } = await ready('sleep 30 & echo $!; wait');
    const { ms } = await end(child, ladder('SIGTERM', 5000));
    expect(ms).to.be.lessThan(1000);
    expect(isAlive(Number(said))).to.be.true;
    process.kill(Number(said));
  });

  it('is not delayed by one that a child left behind when it ended by itself', async () => {
    const { child, said } = await ready('sleep 30 & echo $!');
    if (child.status === undefined) await new Promise<unknown>((resolve) => child.onExit(resolve));
    child.stderr!.destroy();
    const { steps, ms } = await end(child, ladder('SIGTERM', 5000));
    expect(steps).to.deep.equal([]);
    expect(ms).to.be.lessThan(1000);
    process.kill(Number(said));
  });

  it('gives up on a child that outlives all steps, and does not let it keep the process alive', async () => {
    const { child } = await ready(ignoresTerm);
    let times = 0;
    const rungs: Rung[] = [
      { step: 'SIGTERM', waitMs: 20 },
      { step: 'give up', waitMs: 0 },
    ];
    const before = process.getActiveResourcesInfo().filter((type) => type === 'ProcessWrap').length;
    await new Promise<void>((resolve) => {
      const awake = setInterval(() => {}, 1000);
      endChild(child, rungs, () => {
        times += 1;
        clearInterval(awake);
        resolve();
      });
    });
    expect(child.status).to.equal(undefined);
    expect(process.getActiveResourcesInfo().filter((type) => type === 'ProcessWrap')).to.have.lengthOf(before - 1);
    child.setRef(true);
    child.kill('SIGKILL');
    child.stderr!.destroy();
    await closed(child);
    expect(times).to.equal(1);
  });

  describe('with killTree', () => {
    const killTree = { killTree: true };

    it('ends every descendant in the group, and is not delayed by any', async () => {
      const { child, said } = await ready('(sleep 30 & echo $!; wait) & sleep 30 & wait', killTree);
      const { ms } = await end(child, ladder('SIGTERM', 5000));
      expect(ms).to.be.lessThan(1000);
      expect(await survivors([Number(said)])).to.deep.equal([]);
    });

    it('ends a descendant that ignores SIGTERM as soon as its leader is gone', async () => {
      const { child, said } = await ready(`sh -c '${ignoresTerm.replace('ready', () => '$$')}' & wait`, killTree);
      const { ms } = await end(child, ladder('SIGTERM', 5000));
      expect(ms).to.be.lessThan(1000);
      expect(await survivors([Number(said)])).to.deep.equal([]);
    });

    it('ends what a child left behind that ended by itself, whether or not it holds the pipes', async () => {
      for (const redirection of ['', '>/dev/null 2>&1 </dev/null']) {
        const { child, said } = await ready(`sleep 30 ${redirection} & echo $!`, killTree);
        if (child.status === undefined) await new Promise<unknown>((resolve) => child.onExit(resolve));
        if (redirection !== '') await closed(child);
        else child.stderr!.destroy();
        await end(child, ladder('SIGTERM', 5000));
        expect(await survivors([Number(said)])).to.deep.equal([]);
      }
    });

    it('sends nothing to a group that is empty', async () => {
      const child = spawnChild('true', [], killTree);
      await closed(child);
      expect(await signalsSentDuring(() => end(child, ladder('SIGTERM', 5000)))).to.deep.equal([]);
    });
  });
});
