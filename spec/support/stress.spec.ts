import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import { runFixtures, type Report } from './fixture-run';
import { repeat } from './stress';
import { rejection } from './streams';

function titles(runs: readonly { title: string }[]): string[] {
  return runs.map(({ title }) => title);
}

describe('what the specs need from the machine', () => {
  let developer: Report;
  let ci: Report;

  before('a run as a developer has it, and one as CI has it', async () => {
    [developer, ci] = await Promise.all([
      runFixtures(['stressed'], { CI: 'false', STRESS: '0' }),
      runFixtures(['stressed'], { CI: 'true', STRESS: '1' }),
    ]);
  });

  it('a spec whose program is missing is skipped, and its title says which program', () => {
    expect(titles(developer.pending)).to.deep.equal([
      'alone (skipped: no a-program-nobody-has here)',
      'in a suite (skipped: no a-program-nobody-has here)',
      'in a suite of that suite (skipped: no a-program-nobody-has here)',
    ]);
    expect(titles(developer.passes)).to.include.members(['sizes 10', 'runs, with a program that is there']);
    expect(titles(developer.failures)).to.deep.equal(['one that fails']);
  });

  it('with CI=true it fails, and says which program', () => {
    expect(ci.pending).to.deep.equal([]);
    expect(titles(ci.passes)).to.include.members(['sizes 1000', 'runs, with a program that is there']);
    expect(ci.failures.map(({ err }) => err.message)).to.deep.equal([
      ...Array<string>(2).fill('expected a-program-nobody-has to be there, since CI=true'),
      'its own failure',
    ]);
  });

  it('specs that wait run side by side, and with STRESS=1 one after another; each tells how it ended', () => {
    const own = ['one that waits', 'another that waits', 'ran once each'];
    const all = 'the specs that wait, side by side, leave nothing behind';
    expect(titles(developer.passes).slice(2)).to.deep.equal([all, ...own]);
    expect(titles(ci.passes).slice(2)).to.deep.equal(own);
    for (const { failures } of [developer, ci]) {
      expect(failures.at(-1))
        .to.deep.include({ title: 'one that fails' })
        .and.have.nested.property('err.message', 'its own failure');
    }
  });
});

describe('a run that is repeated', () => {
  it('gets its number, and this many are under way at a time', async () => {
    const begun: number[] = [];
    let underWay = 0;
    let most = 0;
    await repeat(10, 3, async (number) => {
      begun.push(number);
      most = Math.max(most, ++underWay);
      await delay(1);
      underWay -= 1;
    });
    expect(begun).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(most).to.equal(3);
  });

  it('is not begun again once one has failed, whose error comes when none is under way', async () => {
    let begun = 0;
    let underWay = 0;
    const repeated = repeat(10, 3, async (number) => {
      begun += 1;
      underWay += 1;
      await delay(number === 1 ? 1 : 20);
      underWay -= 1;
      if (number === 1) throw new Error('the second');
    });
    expect((await rejection(repeated)).message).to.equal('the second');
    expect({ begun, underWay }).to.deep.equal({ begun: 3, underWay: 0 });
  });
});
