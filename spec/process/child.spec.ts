import { once } from 'node:events';
import { expect } from 'chai';
import { SpawnError } from '../../lib/errors';
import { Child } from '../../lib/process/child';
import type { ExitStatus } from '../../lib/process/exit-status';
import { childSpec, closed, shell, spawnChild } from '../support/children';
import { signalsSentDuring, survivors } from '../support/processes';

function endOf(child: Child): Promise<ExitStatus> {
  return new Promise((resolve) => child.onExit(resolve));
}

describe('Child: the start', () => {
  it('has the number that the program has', async () => {
    const child = shell('echo $$');
    expect(Number(await once(child.stdout!, 'data'))).to.equal(child.pid);
    expect(child).to.include({ command: 'sh', status: undefined });
    await closed(child);
  });

  it('has the pipes that were asked for', async () => {
    const child = spawnChild('true', [], { stdin: 'ignore', stdout: 'ignore', stderr: 'ignore' });
    expect([child.stdin, child.stdout, child.stderr]).to.deep.equal([null, null, null]);
    await closed(child);
  });

  it('leads a group of its own only with killTree', async () => {
    for (const killTree of [true, false]) {
      const child = spawnChild('perl', ['-e', 'print getpgrp'], { killTree });
      const group = Number(await once(child.stdout!, 'data'));
      expect(group === child.pid).to.equal(killTree);
      await closed(child);
    }
  });

  it('that fails is told once and later, never by a throw', async () => {
    for (const spec of [childSpec('no-such-program'), childSpec('true', ['x'.repeat(3_000_000)])]) {
      const errors: SpawnError[] = [];
      const told = new Promise<void>((resolve) => {
        const child = Child.spawn(spec, (error) => {
          errors.push(error);
          resolve();
        });
        expect(child).to.equal(undefined);
        expect(errors).to.deep.equal([]);
      });
      await told;
      expect(errors).to.have.lengthOf(1);
      expect(errors[0]).to.be.instanceOf(SpawnError).with.property('command', spec.command);
    }
  });
});

describe('Child: the end', () => {
  it('is told with the exact code: 0, 1, 5, 10, 17, 127, 255', async () => {
    const codes = [0, 1, 5, 10, 17, 127, 255];
    const children = codes.map((code) => shell(`exit ${code}`));
    const statuses = await Promise.all(children.map(endOf));
    expect(statuses.map(({ exitCode, signal }) => [exitCode, signal])).to.deep.equal(codes.map((code) => [code, null]));
    expect(children.map((child) => child.status)).to.deep.equal(statuses);
    await Promise.all(children.map(closed));
  });

  it('is told with the name of the signal: SIGTERM, SIGKILL, SIGSEGV, SIGPIPE', async () => {
    const signals = ['SIGTERM', 'SIGKILL', 'SIGSEGV', 'SIGPIPE'] as const;
    const children = signals.map((signal) => shell(`kill -${signal.slice(3)} $$`));
    const statuses = await Promise.all(children.map(endOf));
    expect(statuses.map(({ exitCode, signal }) => [exitCode, signal])).to.deep.equal(
      signals.map((signal) => [null, signal]),
    );
    await Promise.all(children.map(closed));
  });

  it('is told with the time from the spawn', async () => {
    const startedAt = performance.now();
    const child = spawnChild('sleep', ['0.1']);
    const { durationMs } = await endOf(child);
    expect(durationMs).to.be.within(90, performance.now() - startedAt);
    await closed(child);
  });

  it('is closed when our ends of the pipes are', async () => {
    const child = shell('sleep 30 & echo $!');
    const descendant = once(child.stdout!, 'data').then(Number);
    await endOf(child);
    expect(child.isClosed).to.be.false;
    child.releasePipes();
    child.stderr!.destroy();
    await closed(child);
    expect(child.isClosed).to.be.true;
    process.kill(await descendant);
  });
});

describe('Child: its signals', () => {
  it('reach the program', async () => {
    const child = shell('trap "exit 7" USR1; echo; while :; do sleep 0.01; done');
    await once(child.stdout!, 'data');
    expect(child.kill('SIGUSR1')).to.be.true;
    await closed(child);
    expect(child.status?.exitCode).to.equal(7);
  });

  it('reach nobody once it is gone', async () => {
    for (const killTree of [true, false]) {
      const child = spawnChild('true', [], { killTree });
      await closed(child);
      const sent = await signalsSentDuring(() => expect(child.kill('SIGKILL')).to.be.false);
      expect(sent).to.deep.equal([]);
    }
  });

  it('reach its whole group with killTree', async () => {
    const child = shell('sleep 30 & echo $!; wait', { killTree: true });
    const descendant = Number(await once(child.stdout!, 'data'));
    expect(child.kill('SIGTERM')).to.be.true;
    await closed(child);
    expect(await survivors([descendant])).to.deep.equal([]);
  });

  it('end what a leader that has exited left of its group, with killTree', async () => {
    const child = shell('sleep 30 & echo $!', { killTree: true });
    const descendant = Number(await once(child.stdout!, 'data'));
    await endOf(child);
    child.killOrphans();
    await closed(child);
    expect(await survivors([descendant])).to.deep.equal([]);
  });

  it('leave the descendants alone without killTree', async () => {
    const child = shell('sleep 30 & echo $!');
    const descendant = Number(await once(child.stdout!, 'data'));
    await endOf(child);
    child.killOrphans();
    expect(process.kill(descendant)).to.be.true;
    await closed(child);
  });
});
