import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect } from 'chai';
import { MemoryWatch, residentBytes } from '../../lib/process/memory-watch';
import { until } from '../support/processes';

const MIB = 1024 * 1024;

describe('the resident memory of a process', function () {
  before(function () {
    if (process.platform !== 'linux') this.skip(); // there is no /proc elsewhere
  });

  it('is what this process says of itself', () => {
    const before = process.memoryUsage().rss;
    expect(residentBytes(process.pid)).to.be.within(before - 32 * MIB, before + 32 * MIB);
  });

  it('grows with what a child holds, and is unknown once it is gone', async () => {
    const child = spawn('perl', ['-e', '$| = 1; my $held; while (<>) { $held .= "x" x 20_000_000; print "ok\n" }']);
    child.stdin.write('\n');
    await once(child.stdout, 'data');
    const first = residentBytes(child.pid!)!;
    child.stdin.write('\n');
    await once(child.stdout, 'data');
    expect(residentBytes(child.pid!)! - first).to.be.above(16 * MIB);
    child.stdin.end();
    await once(child, 'close');
    expect(residentBytes(child.pid!)).to.equal(undefined);
  });

  it('is looked at after an answer, and what is answered right after that a while later, once', async () => {
    let above = 0;
    const watch = new MemoryWatch(1, () => (above += 1));
    watch.answered();
    expect(above, 'no child').to.equal(0);
    watch.begin(process.pid);
    expect(above, 'no answer').to.equal(0);
    watch.answered();
    expect(above).to.equal(1);
    expect(watch.seenBytes).to.be.above(MIB);
    for (let answer = 0; answer < 1000; answer += 1) watch.answered();
    expect(above, 'in the pause').to.equal(1);
    await until(() => above === 2, 10_000);
    watch.end();
  });

  it('is not looked at after the end of the watch', async () => {
    let above = 0;
    const watch = new MemoryWatch(1, () => (above += 1));
    watch.begin(process.pid);
    watch.answered();
    watch.answered();
    watch.end();
    watch.answered();
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(above).to.equal(1);
  });
});
