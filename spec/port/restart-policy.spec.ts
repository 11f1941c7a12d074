import { expect } from 'chai';
import { RestartPolicy, type Death, type RestartOptions, type Verdict } from '../../lib/port/restart-policy';

const defaults: RestartOptions = {
  restart: 'permanent',
  maxRestarts: 5,
  withinMs: 30_000,
  backoff: { minMs: 100, maxMs: 30_000 },
  minUptimeMs: 1000,
};

/** Always draws the longest delay. */
function policy(options: Partial<RestartOptions> = {}, random = () => 1): RestartPolicy {
  return new RestartPolicy({ ...defaults, ...options }, random);
}

function death(nowMs: number, facts: Partial<Death> = {}): Death {
  return { nowMs, uptimeMs: 10, hasAnswered: false, isSuccess: false, ...facts };
}

/** The delay before the restart; undefined where the child is given up. */
function delayMs(verdict: Verdict): number | undefined {
  return verdict.kind === 'restart' ? verdict.delayMs : undefined;
}

function delays(subject: RestartPolicy, count: number, facts: Partial<Death> = {}): (number | undefined)[] {
  return Array.from({ length: count }, (_, i) => delayMs(subject.died(death(i, facts))));
}

describe('the restart policy: how often', () => {
  it('gives up at the crash after maxRestarts in withinMs', () => {
    const subject = policy({ maxRestarts: 3 });
    expect(delays(subject, 4).map((delay) => delay === undefined)).to.deep.equal([false, false, false, true]);
    expect(subject.recentRestarts).to.equal(3);
  });

  it('gives up at the first crash when maxRestarts is 0', () => {
    const subject = policy({ maxRestarts: 0 });
    expect(subject.died(death(0))).to.deep.equal({ kind: 'give up' });
    expect(subject.recentRestarts).to.equal(0);
  });

  it('forgets crashes that are withinMs old', () => {
    const subject = policy({ maxRestarts: 1, withinMs: 1000 });
    expect(subject.died(death(0)).kind).to.equal('restart');
    expect(subject.died(death(1000)).kind).to.equal('restart');
    expect(subject.died(death(1999)).kind).to.equal('give up');
  });

  it('counts from the start again after a reply', () => {
    const subject = policy({ maxRestarts: 1 });
    for (let nowMs = 0; nowMs < 20; nowMs += 1) {
      expect(subject.died(death(nowMs, { hasAnswered: true })).kind).to.equal('restart');
      subject.answered();
    }
  });

  it('counts a child that lives long and never answers', () => {
    const verdicts = delays(policy({ maxRestarts: 2 }), 3, { uptimeMs: 5000 });
    expect(verdicts).to.deep.equal([0, 0, undefined]);
  });

  it('counts a poisonous request for nothing', () => {
    const subject = policy({ maxRestarts: 1 });
    for (let nowMs = 0; nowMs < 20; nowMs += 1) {
      expect(delayMs(subject.died(death(nowMs)))).to.equal(100);
      subject.forgive(1);
    }
    expect(subject.recentRestarts).to.equal(0);
  });

  it('gives up a program that never answered at the poisonous request after maxRestarts, one that did after a hundred', () => {
    for (const [hasWorked, most] of [
      [false, 3],
      [true, 100],
    ] as const) {
      const subject = policy({ maxRestarts: 3 });
      const kinds = Array.from({ length: most + 1 }, () => subject.foundPoison(hasWorked).kind);
      expect(kinds.indexOf('give up'), `hasWorked: ${hasWorked}`).to.equal(most);
    }
  });

  it('counts poisonous requests from the start again after a reply', () => {
    const subject = policy({ maxRestarts: 3 });
    for (let request = 0; request < 20; request += 1) {
      expect(subject.foundPoison(false).kind).to.equal('restart');
      subject.answered();
    }
  });

  it('forgives more than there was, and nothing happens', () => {
    const subject = policy();
    subject.forgive(3);
    expect(delays(subject, 2)).to.deep.equal([100, 200]);
  });

  it('begins anew when it is reset', () => {
    const subject = policy({ maxRestarts: 2 });
    delays(subject, 3);
    subject.reset();
    expect(delays(subject, 3)).to.deep.equal([100, 200, undefined]);
  });
});

describe('the restart policy: after how long', () => {
  it('doubles the delay from minMs to maxMs', () => {
    const subject = policy({ maxRestarts: 99, backoff: { minMs: 10, maxMs: 70 } });
    expect(delays(subject, 6)).to.deep.equal([10, 20, 40, 70, 70, 70]);
  });

  it('draws the delay between 0 and that', () => {
    let drawn = 0;
    const subject = policy({ maxRestarts: 99 }, () => (drawn += 0.25) % 1);
    expect(delays(subject, 4)).to.deep.equal([25, 100, 300, 0]);
  });

  it('never waits longer than maxMs, however often the child has died', () => {
    const subject = policy({ maxRestarts: 5000 });
    expect(delays(subject, 3000).at(-1)).to.equal(30_000);
  });

  it('never waits when minMs and maxMs are 0', () => {
    const subject = policy({ maxRestarts: 5000, backoff: { minMs: 0, maxMs: 0 } });
    expect(new Set(delays(subject, 1500))).to.deep.equal(new Set([0]));
  });

  it('waits not at all after a child that has answered, and begins at minMs again', () => {
    const subject = policy({ maxRestarts: 99 });
    expect(delays(subject, 3)).to.deep.equal([100, 200, 400]);
    expect(delays(subject, 1, { hasAnswered: true })).to.deep.equal([0]);
    expect(delays(subject, 2)).to.deep.equal([100, 200]);
  });

  it('waits not at all after a child that lived minUptimeMs, and begins at minMs again', () => {
    const subject = policy({ maxRestarts: 99 });
    expect(delays(subject, 2, { uptimeMs: 999 })).to.deep.equal([100, 200]);
    expect(delays(subject, 1, { uptimeMs: 1000 })).to.deep.equal([0]);
    expect(delays(subject, 1)).to.deep.equal([100]);
  });

  it('takes the steps of a poisonous request back', () => {
    const subject = policy();
    expect(delays(subject, 2)).to.deep.equal([100, 200]);
    subject.forgive(1);
    expect(delays(subject, 1)).to.deep.equal([200]);
  });
});

describe('the restart policy: which ends', () => {
  const cases = [
    ['permanent', true, 'restart'],
    ['permanent', false, 'restart'],
    ['transient', true, 'give up'],
    ['transient', false, 'restart'],
    ['temporary', true, 'give up'],
    ['temporary', false, 'give up'],
  ] as const;
  it('is not asked of one that is replaced in any case, but its crash counts', () => {
    const subject = policy({ restart: 'temporary', maxRestarts: 2, minUptimeMs: 0 });
    const kinds = [0, 1, 2].map((nowMs) => subject.crashed(death(nowMs, { isSuccess: true })).kind);
    expect(kinds).to.deep.equal(['restart', 'restart', 'give up']);
  });

  for (const [restart, isSuccess, kind] of cases) {
    it(`a ${restart} child that ${isSuccess ? 'succeeded' : 'failed'}: ${kind}`, () => {
      expect(policy({ restart }).died(death(0, { isSuccess, hasAnswered: true })).kind).to.equal(kind);
    });
  }
});
