import { strictEqual } from 'node:assert';
import { expect } from 'chai';
import fc from 'fast-check';
import { Fifo } from '../lib/fifo';
import { InOrder } from '../lib/in-order';

describe('Fifo', () => {
  it('does what an array does, whatever is asked of it', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('push' as const), times: fc.integer({ min: 1, max: 3000 }) }),
      fc.record({ kind: fc.constant('shift' as const), times: fc.integer({ min: 1, max: 3000 }) }),
      fc.record({
        kind: fc.constantFrom('putBack' as const, 'keep' as const, 'takeAll' as const),
        times: fc.constant(1),
      }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const fifo = new Fifo<number>();
        let model: number[] = [];
        let next = 0;
        for (const { kind, times } of steps) {
          for (let n = 0; n < times; n += 1) {
            if (kind === 'push') {
              fifo.push(next);
              model.push(next++);
            } else if (kind === 'shift') {
              // a million times: an assertion of chai's costs ten of these
              strictEqual(fifo.peek(), model[0]);
              strictEqual(fifo.shift(), model.shift());
            } else if (kind === 'putBack') {
              fifo.putBack([-1, -2]);
              model.unshift(-1, -2);
            } else if (kind === 'keep') {
              fifo.keep((item) => item % 3 !== 0);
              model = model.filter((item) => item % 3 !== 0);
            } else {
              expect(fifo.takeAll()).to.deep.equal(model);
              model = [];
            }
          }
          strictEqual(fifo.length, model.length);
        }
        expect(fifo.toArray()).to.deep.equal(model);
      }),
      { numRuns: 30 },
    );
  });
});

describe('InOrder', () => {
  it('hands results on in the order in which their work began', () => {
    const order = new InOrder<string>(3, true);
    const [a, b, c] = [order.begin(), order.begin(), order.begin()];
    expect(order.hasRoom).to.equal(false);
    order.end(c, 'c');
    order.end(b, 'b');
    expect([order.peek(), order.hasRoom]).to.deep.equal([undefined, true]);
    order.end(a, 'a');
    const results: (string | undefined)[] = [];
    for (let slot = order.peek(); slot !== undefined; slot = order.peek()) {
      results.push(slot.result);
      order.shift();
    }
    expect(results).to.deep.equal(['a', 'b', 'c']);
    expect(order.isEmpty).to.equal(true);
  });

  it('unordered, in the order in which it ended', () => {
    const order = new InOrder<string>(3, false);
    const [a, b] = [order.begin(), order.begin()];
    order.end(b, 'b');
    expect(order.peek()?.result).to.equal('b');
    order.end(a, 'a');
    order.shift();
    expect(order.peek()?.result).to.equal('a');
  });

  it('begins no more when 16 results for each one in work wait for an earlier one', () => {
    const order = new InOrder<number>(2, true);
    order.begin();
    for (let n = 0; n < 31; n += 1) {
      expect(order.hasRoom, String(n)).to.equal(true);
      order.end(order.begin(), n);
    }
    expect(order.hasRoom).to.equal(false);
  });
});
