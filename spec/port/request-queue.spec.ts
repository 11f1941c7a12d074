import { expect } from 'chai';
import { Request } from '../../lib/port/request';
import { RequestQueue } from '../../lib/port/request-queue';
import { collectGarbage } from '../support/memory';

const ignored = { resolve: () => undefined, reject: () => undefined };

function request(message: string | Buffer, queue: RequestQueue): Request {
  return new Request(message, false, queue, ignored);
}

function filled(...messages: string[]): { queue: RequestQueue; requests: Request[] } {
  const queue = new RequestQueue();
  const requests = messages.map((message) => request(message, queue));
  for (const one of requests) queue.push(one);
  return { queue, requests };
}

function giveUp(one: Request | undefined): void {
  one?.giveUp('abort', new Error('aborted'));
}

function drained(queue: RequestQueue): unknown[] {
  const messages: unknown[] = [];
  for (let one = queue.shift(); one !== undefined; one = queue.shift()) messages.push(one.message);
  return messages;
}

describe('the request queue', () => {
  it('gives what came first, first, and undefined when it is empty', () => {
    const { queue } = filled('a', 'b', 'c');
    expect(queue.length).to.equal(3);
    expect(queue.peek()?.message).to.equal('a');
    expect(drained(queue)).to.deep.equal(['a', 'b', 'c']);
    expect(queue.length).to.equal(0);
    expect(queue.peek()).to.equal(undefined);
  });

  it('passes over what was given up, and does not count it', () => {
    const { queue, requests } = filled('a', 'b', 'c', 'd');
    giveUp(requests[0]);
    giveUp(requests[2]);
    expect(queue.length).to.equal(2);
    expect(drained(queue)).to.deep.equal(['b', 'd']);
    expect(queue.length).to.equal(0);
  });

  it('puts back at its head what no child answered, in order', () => {
    const { queue, requests } = filled('a', 'b', 'c', 'd');
    queue.shift();
    queue.shift();
    queue.putBack(requests.slice(0, 2));
    expect(queue.length).to.equal(4);
    giveUp(requests[1]);
    expect(queue.length).to.equal(3);
    expect(drained(queue)).to.deep.equal(['a', 'c', 'd']);
  });

  it('hands over all that wait, once', () => {
    const { queue, requests } = filled('a', 'b', 'c');
    giveUp(requests[1]);
    expect(queue.takeAll().map((one) => one.message)).to.deep.equal(['a', 'c']);
    expect(queue.length).to.equal(0);
    expect(queue.takeAll()).to.deep.equal([]);
  });

  it('says that a request waits in the queue', () => {
    const { queue, requests } = filled('a');
    expect(requests[0]?.holder).to.equal(queue);
    expect(queue.phaseOf()).to.equal('queue');
  });

  it('keeps its order over thousands', () => {
    const numbers = Array.from({ length: 5000 }, (_, i) => String(i));
    const { queue } = filled(...numbers.slice(0, 3000));
    const first = Array.from({ length: 2500 }, () => queue.shift()?.message);
    for (const number of numbers.slice(3000)) queue.push(request(number, queue));
    expect([...first, ...drained(queue)]).to.deep.equal(numbers);
  });

  it('lets go of what was given up behind one that still waits', async () => {
    const queue = new RequestQueue();
    queue.push(request('first', queue));
    const passers = Array.from({ length: 1000 }, () => {
      const one = request('passes', queue);
      queue.push(one);
      giveUp(one);
      return new WeakRef(one);
    });
    await collectGarbage();
    expect(passers.filter((one) => one.deref() !== undefined)).to.have.length.below(100);
    expect(queue.length).to.equal(1);
  });
});
