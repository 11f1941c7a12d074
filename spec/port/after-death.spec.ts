import { expect } from 'chai';
import { settleAfterDeath } from '../../lib/port/after-death';
import { PoisonError } from '../../lib/port/port-errors';
import { Request } from '../../lib/port/request';
import type { EndKind } from '../../lib/port/session-events';

const holder = { abandoned: () => undefined, phaseOf: () => 'queue' as const };
const ignored = { resolve: () => undefined, reject: () => undefined };

function request(isIdempotent: boolean): Request {
  return new Request('x', isIdempotent, holder, ignored);
}

function end(kind: EndKind, written: Request[], unwritten: Request[] = []): ReturnType<typeof settleAfterDeath> {
  const error = new Error('gone');
  const facts = { isSuccess: false, uptimeMs: 1, hasAnswered: false };
  return settleAfterDeath({ kind, error, written, unwritten, ...facts }, 'cat');
}

describe('what becomes of the requests of a child', () => {
  it('that it has not seen: they go to the next; that it may have: rejected, but for the idempotent', () => {
    for (const kind of ['died', 'misbehaved', 'ended'] as const) {
      const [seen, again, unseen] = [request(false), request(true), request(false)];
      expect(end(kind, [seen, again], [unseen])).to.deep.equal({ again: [again, unseen], isPoison: false });
      expect([seen.error?.message, again.error, unseen.error]).to.deep.equal(['gone', undefined, undefined]);
    }
  });

  for (const [kind, crashes] of [
    ['died', 2],
    ['misbehaved', 2],
    ['ended', Infinity],
  ] as const) {
    it(`that may be sent again, where each child ${kind}: ${crashes} children are given it`, () => {
      const again = request(true);
      for (let children = 1; children < Math.min(crashes, 100); children += 1) {
        expect(end(kind, [again])).to.deep.equal({ again: [again], isPoison: false });
      }
      if (crashes === Infinity) return;
      expect(end(kind, [again])).to.deep.equal({ again: [], isPoison: true });
      expect(again.error).to.be.instanceOf(PoisonError).and.include({ crashes });
    });
  }
});
