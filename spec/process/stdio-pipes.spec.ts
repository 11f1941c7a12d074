import { once } from 'node:events';
import { closeSync, openSync, readdirSync, readlinkSync, writeSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import { Child } from '../../lib/process/child';
import { PipeSource, type ChildEnd, type Pipe } from '../../lib/process/pipes';
import { KeptEnd, ChildStdio, Slab, takeStdioPipes } from '../../lib/process/stdio-pipes';
import { childSpec, closed } from '../support/children';
import { childrenFromNow, until } from '../support/processes';

function linuxOnly(this: Mocha.Context): void {
  if (process.platform !== 'linux') this.skip(); // there are no pipes elsewhere
}

async function pipes(...ends: ChildEnd[]): Promise<readonly Pipe[]> {
  const helpers = childrenFromNow();
  const taken = await new Promise<readonly Pipe[] | string>((resolve) => new PipeSource().take(ends, resolve));
  if (typeof taken === 'string') throw new Error(taken);
  // Until it is gone, the helper has an end to read, too.
  expect(await until(() => helpers().length === 0)).to.be.true;
  return taken;
}

type Pipes = Readonly<Partial<Record<string, Pipe>>>;

async function stdioPipes(...others: Parameters<typeof childSpec>): Promise<Pipes> {
  const taken = await new Promise<Pipes | string>((resolve) => takeStdioPipes(childSpec(...others), resolve));
  if (typeof taken === 'string') throw new Error(taken);
  return taken;
}

const ownPipes = (): string[] =>
  readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      return target.startsWith('pipe:') ? [target] : [];
    } catch {
      return []; // of the look itself
    }
  });

/** Whether the pipes that are open are those, each as often; a descriptor is closed in the turn after its stream says so. */
const areOpen = (before: readonly string[]): Promise<boolean> => until(() => ownPipes().join() === before.join());

describe('Child over pipes', () => {
  before(linuxOnly);

  it('takes pipes for what is a pipe in its spec, and no others', async () => {
    const before = ownPipes();
    const taken = await stdioPipes('cat', [], { stdin: 'ignore', stderr: 'inherit' });
    expect(Object.keys(taken)).to.deep.equal(['stdout']);
    const spec = childSpec('cat', [], { stdin: 'ignore', stderr: 'inherit' });
    const child = Child.spawn(spec, () => undefined, taken)!;
    child.stdout!.resume();
    await closed(child);
    expect(await areOpen(before)).to.be.true;
  });

  it('closes the pipes for which its spec has no use by the time of the spawn', async () => {
    const before = ownPipes();
    const taken = await stdioPipes('true');
    const child = Child.spawn(childSpec('true', [], { stdin: 'ignore', stdout: 'ignore' }), () => undefined, taken)!;
    expect([child.stdin, child.stdout]).to.deep.equal([null, null]);
    child.stderr!.resume();
    await closed(child);
    expect(await areOpen(before)).to.be.true;
  });

  it('is closed when the program is gone and our ends are, not before', async () => {
    const child = Child.spawn(childSpec('sh', ['-c', 'sleep 30 & echo $!']), () => undefined, await stdioPipes('sh'))!;
    child.stderr!.resume();
    const descendant = once(child.stdout!, 'data').then(Number);
    await new Promise((resolve) => child.onExit(resolve));
    await turn();
    expect(child.isClosed).to.be.false;
    process.kill(await descendant);
    await closed(child);
    expect(child.isClosed).to.be.true;
  });

  it('has sockets where no stream can be made of a pipe, and closes all of them', async () => {
    const before = ownPipes();
    const taken = await stdioPipes('cat');
    closeSync(taken['stdout']!.ours);
    const wrong = { ...taken, stdout: { ours: openSync('/dev/null', 'r'), theirs: taken['stdout']!.theirs } };
    const stdio = ChildStdio.over(wrong, childSpec('cat'));
    expect([stdio.streams, stdio.entries]).to.deep.equal([[], ['pipe', 'pipe', 'pipe']]);
    expect(await areOpen(before)).to.be.true;
  });

  it('has further ends of its stdin only as long as that is open', async () => {
    const before = ownPipes();
    const child = Child.spawn(childSpec('cat'), () => undefined, await stdioPipes('cat'))!;
    child.stderr!.resume();
    const ends = child.openFurtherEnds()!;
    writeSync(ends.theirs, 'from another');
    closeSync(ends.theirs);
    expect(String(await once(child.stdout!, 'data'))).to.equal('from another');
    ends.kept.close();
    child.stdin!.end();
    await closed(child);
    expect(child.openFurtherEnds()).to.equal(undefined);
    expect(await areOpen(before)).to.be.true;
    const overSockets = Child.spawn(childSpec('cat'), () => undefined)!;
    expect(overSockets.openFurtherEnds()).to.equal(undefined);
    overSockets.stdout!.resume();
    overSockets.stderr!.resume();
    overSockets.stdin!.end();
    await closed(overSockets);
  });
});

describe('KeptEnd', () => {
  before(linuxOnly);

  it('reads nothing before it is asked to, then counts all bytes and sees the end', async () => {
    const [pipe] = await pipes('writes');
    const kept = new KeptEnd(pipe!.ours);
    writeSync(pipe!.theirs, 'x'.repeat(1000));
    await turn();
    let bytes = 0;
    const ended = new Promise<void>((resolve) => {
      expect(kept.readOn((more) => (bytes += more), resolve)).to.be.true;
    });
    expect(bytes).to.equal(0);
    writeSync(pipe!.theirs, 'y');
    closeSync(pipe!.theirs);
    await ended;
    expect(bytes).to.equal(1001);
  });

  it('gives the writer a broken pipe once it is closed, whether it has read or not; closing it again does nothing', async () => {
    for (const hasRead of [false, true]) {
      const [pipe] = await pipes('writes');
      const kept = new KeptEnd(pipe!.ours);
      if (hasRead)
        kept.readOn(
          () => undefined,
          () => undefined,
        );
      kept.close();
      kept.close();
      expect(
        kept.readOn(
          () => undefined,
          () => undefined,
        ),
      ).to.be.false;
      await turn();
      expect(() => writeSync(pipe!.theirs, 'x')).to.throw('EPIPE');
      closeSync(pipe!.theirs);
    }
  });
});

describe('Slab', () => {
  it('gives each chunk memory of its own, with its bytes', () => {
    const slab = new Slab();
    const source = Buffer.alloc(65_536);
    const sizes = [10, 1024, 3000, 100, 40_000, 1, 65_536, 4096, 4097, 7];
    const copies = sizes.map((bytes, index) => slab.copy(source.subarray(0, bytes).fill(index)));
    expect(copies.map(({ length }) => length)).to.deep.equal(sizes);
    expect(copies.every((copy, index) => copy.every((byte) => byte === index))).to.be.true;
  });

  it('holds 8 KiB for a child that prints little, and no more than a chunk for one that prints much', () => {
    const slab = new Slab();
    const little = Array.from({ length: 128 }, () => slab.copy(Buffer.alloc(64)).buffer);
    expect([...new Set(little)].map(({ byteLength }) => byteLength)).to.deep.equal([8192]);
    expect(slab.copy(Buffer.alloc(40_000)).buffer.byteLength).to.equal(40_000);
  });
});
