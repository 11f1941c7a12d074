import { getEventListeners } from 'node:events';
import { expect } from 'chai';
import { AbortError } from '../../lib/errors';
import { AbortWatch } from '../../lib/port/abort-watch';
import { Request } from '../../lib/port/request';

const holder = { abandoned: () => undefined, phaseOf: () => 'queue' as const };

function request(errors: Error[] = []): Request {
  return new Request('', false, holder, { resolve: () => undefined, reject: (error) => errors.push(error) });
}

function listeners(signal: AbortSignal): number {
  return getEventListeners(signal, 'abort').length;
}

describe('the watch over abort signals', () => {
  it('listens once to each signal, and no more when the last request is gone', () => {
    const watch = new AbortWatch();
    const { signal } = new AbortController();
    const [a, b] = [request(), request()];
    watch.add(signal, a);
    watch.add(signal, b);
    expect(listeners(signal)).to.equal(1);
    watch.delete(signal, a);
    watch.delete(signal, a);
    expect(listeners(signal)).to.equal(1);
    watch.delete(signal, b);
    expect(listeners(signal)).to.equal(0);
    watch.delete(signal, b);
    watch.add(signal, a);
    expect(listeners(signal)).to.equal(1);
    watch.delete(signal, a);
  });

  it('gives up the requests of the signal that fires, with its reason, and no others', () => {
    const watch = new AbortWatch();
    const [controller, other] = [new AbortController(), new AbortController()];
    const errors: Error[] = [];
    const requests = [request(errors), request(errors), request()];
    requests.forEach((one, i) => watch.add(i < 2 ? controller.signal : other.signal, one));
    controller.abort('enough');
    expect(requests.map((one) => one.isSettled)).to.deep.equal([true, true, false]);
    for (const error of errors) expect(error).to.be.instanceOf(AbortError).and.include({ cause: 'enough' });
    expect(errors).to.have.length(2);
  });

  it('bears that requests leave while it gives them up', () => {
    const watch = new AbortWatch();
    const controller = new AbortController();
    const { signal } = controller;
    const requests: Request[] = Array.from({ length: 3 }, () => {
      const one: Request = new Request('', false, holder, {
        resolve: () => undefined,
        reject: () => watch.delete(signal, one),
      });
      return one;
    });
    for (const one of requests) watch.add(signal, one);
    controller.abort();
    expect(requests.every((one) => one.isSettled)).to.equal(true);
    expect(listeners(signal)).to.equal(0);
  });
});
