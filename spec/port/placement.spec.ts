import { expect } from 'chai';
import { laneFor, lanesToRelease, laneToReplace, laneToStart, type PlacedLane } from '../../lib/port/placement';

type Named = PlacedLane & { readonly name: string };

function lane(name: string, facts: Partial<PlacedLane> = {}): Named {
  return {
    name,
    state: 'ready',
    room: 1,
    inFlight: 0,
    isUnproven: false,
    isLongOverdue: false,
    mayReplace: true,
    idleLooks: 0,
    ...facts,
  };
}

const full = { room: 0, inFlight: 1 };

describe('placement: which lane is given a request', () => {
  const cases: [title: string, isSuspect: boolean, lanes: Named[], expected: string | undefined][] = [
    ['the one with the fewest in flight', false, [lane('a', { inFlight: 2 }), lane('b', { inFlight: 1 })], 'b'],
    ['the first of equals', false, [lane('a', { inFlight: 1 }), lane('b', { inFlight: 1 })], 'a'],
    ['none without room', false, [lane('a', full), lane('b', full)], undefined],
    ['none of those whose room is taken beyond it', false, [lane('a', { room: -1, inFlight: 0 })], undefined],
    ['a suspect: only one without any', true, [lane('a', { room: 3, inFlight: 1 }), lane('b')], 'b'],
    ['a suspect: none where all have some', true, [lane('a', { room: 3, inFlight: 1 })], undefined],
    ['none of none', false, [], undefined],
  ];
  for (const [title, isSuspect, lanes, expected] of cases) {
    it(title, () => expect(laneFor(isSuspect, lanes)?.name).to.equal(expected));
  }
});

describe('placement: which lane is started', () => {
  const idle = lane('idle', { state: 'idle', room: 0 });
  const starting = lane('starting', { state: 'starting', room: 0 });
  const cases: [title: string, queued: number, lanes: Named[], expected: string | undefined][] = [
    ['the first idle one, where a request waits', 1, [lane('a', full), idle, lane('c', { state: 'idle' })], 'idle'],
    ['none where nothing waits', 0, [idle], undefined],
    ['none where enough are starting', 1, [starting, idle], undefined],
    ['one more where more wait than are starting', 2, [starting, idle], 'idle'],
    ['one for a request that stands behind another in a child', 0, [lane('a', { inFlight: 2 }), idle], 'idle'],
    ['none for a child with one', 0, [lane('a', { inFlight: 1 }), idle], undefined],
    [
      'none that is broken, waits or runs',
      9,
      [lane('a', { state: 'broken' }), lane('b', { state: 'backoff' })],
      undefined,
    ],
  ];
  for (const [title, queued, lanes, expected] of cases) {
    it(title, () => expect(laneToStart(queued, lanes)?.name).to.equal(expected));
  }
});

describe('placement: whose child is replaced next', () => {
  const due = lane('due');
  const cases: [title: string, due: Named[], others: Named[], expected: string | undefined][] = [
    ['the first that is due', [due, lane('later')], [lane('a')], 'due'],
    ['none while another has not shown that it is well', [due], [lane('a', { isUnproven: true })], undefined],
    ['an idle one has nothing to show', [due], [lane('a', { state: 'idle', isUnproven: true })], 'due'],
    [
      'one that waits for long, when one of the others is well',
      [lane('late', { isLongOverdue: true })],
      [lane('a'), lane('b', { isUnproven: true })],
      'late',
    ],
    [
      'one that waits for long: not when none of the others is well',
      [lane('late', { isLongOverdue: true })],
      [lane('b', { isUnproven: true })],
      undefined,
    ],
    ['none that cannot begin now', [lane('busy', { mayReplace: false }), due], [], 'due'],
  ];
  for (const [title, dues, others, expected] of cases) {
    it(title, () => expect(laneToReplace(dues, [...dues, ...others])?.name).to.equal(expected));
  }
});

describe('placement: whose child leaves for want of work', () => {
  const idle = { idleLooks: 4 };
  const cases: [title: string, minSize: number, lanes: Named[], expected: string[]][] = [
    ['the last first', 1, [lane('a', idle), lane('b', idle), lane('c', idle)], ['c', 'b']],
    ['minSize stay', 3, [lane('a', idle), lane('b', idle), lane('c', idle)], []],
    ['none that was asked since', 0, [lane('a', { idleLooks: 3 })], []],
    ['none that has something to do', 0, [lane('a', { ...idle, inFlight: 1 })], []],
    [
      'none that is not ready counts among those that stay',
      1,
      [lane('a', { ...idle }), lane('b', { state: 'starting', room: 0 })],
      [],
    ],
  ];
  for (const [title, minSize, lanes, expected] of cases) {
    it(title, () => expect(lanesToRelease(4, minSize, lanes).map(({ name }) => name)).to.deep.equal(expected));
  }
});
