import { expect } from 'chai';
import { FrameWriter } from '../../lib/framing/frame-writer';
import { InFlight } from '../../lib/port/in-flight';
import { Request } from '../../lib/port/request';

const holder = { abandoned: () => undefined, phaseOf: () => 'queue' as const };
const ignored = { resolve: () => undefined, reject: () => undefined };

function request(message: string): Request {
  return new Request(message, false, holder, ignored);
}

function messages(requests: readonly Request[]): unknown[] {
  return requests.map((one) => one.message);
}

describe('the requests in flight', () => {
  it('are unwritten until their batch is made, and answered in its order', () => {
    const inFlight = new InFlight();
    const [a, b] = [request('a'), request('b')];
    inFlight.push(a);
    inFlight.push(b);
    expect([inFlight.isWritten(a), inFlight.length, inFlight.isBatchOut]).to.deep.equal([false, 2, false]);
    const chunks = inFlight.writeBatch(new FrameWriter({ packet: 1 }));
    expect(Buffer.concat(chunks)).to.deep.equal(Buffer.from('\x01a\x01b'));
    expect([inFlight.isWritten(a), inFlight.length, inFlight.isBatchOut]).to.deep.equal([true, 2, true]);
    expect([inFlight.shift(), inFlight.shift(), inFlight.shift()]).to.deep.equal([a, b, undefined]);
    expect(inFlight.isBatchOut).to.equal(false);
  });

  it('are told by where they stand: going out or waiting for the reply, first or not', () => {
    const inFlight = new InFlight();
    const [a, b] = [request('a'), request('b')];
    inFlight.push(a);
    inFlight.writeBatch(new FrameWriter());
    expect(inFlight.placeOf(a)).to.deep.equal({ isGoingOut: true, isFirst: true });
    inFlight.batchTaken();
    inFlight.push(b);
    inFlight.writeBatch(new FrameWriter());
    expect(inFlight.placeOf(a)).to.deep.equal({ isGoingOut: false, isFirst: true });
    expect(inFlight.placeOf(b)).to.deep.equal({ isGoingOut: true, isFirst: false });
  });

  it('are written as many at once as a pipe takes, and one at least', () => {
    const inFlight = new InFlight();
    for (const bytes of [40_000, 40_000, 1, 3_000_000, 1]) inFlight.push(request('x'.repeat(bytes)));
    const batches = [1, 2, 3].map(() => Buffer.concat(inFlight.writeBatch(new FrameWriter())).length);
    expect(batches).to.deep.equal([80_008, 3_000_009, 5]);
    expect(inFlight.unwritten).to.deep.equal([]);
  });

  it('lose one that cannot be framed, and no other', () => {
    const inFlight = new InFlight();
    const all = [request('a'), request('too long'), request('b')];
    for (const one of all) inFlight.push(one);
    const chunks = inFlight.writeBatch(new FrameWriter({ packet: 1, maxMessageBytes: 4 }));
    expect(Buffer.concat(chunks)).to.deep.equal(Buffer.from('\x01a\x01b'));
    expect(all.map((one) => one.isSettled)).to.deep.equal([false, true, false]);
    expect(all[1]?.error).to.include({ code: 'ERR_REXPORT_MESSAGE_TOO_LARGE' });
    expect(messages(inFlight.written)).to.deep.equal(['a', 'b']);
  });

  it('keep the place of one that was given up when it is written, and drop it when it is not', () => {
    const inFlight = new InFlight();
    const [a, b, c] = [request('a'), request('b'), request('c')];
    inFlight.push(a);
    inFlight.writeBatch(new FrameWriter());
    inFlight.push(b);
    inFlight.push(c);
    for (const one of [a, b]) one.giveUp('abort', new Error('aborted'));
    expect([messages(inFlight.written), messages(inFlight.unwritten)]).to.deep.equal([[], ['c']]);
    inFlight.writeBatch(new FrameWriter());
    expect([inFlight.shift(), inFlight.shift(), inFlight.shift()]).to.deep.equal([a, c, undefined]);
  });

  it('give back what is not written', () => {
    const inFlight = new InFlight();
    const [a, b] = [request('a'), request('b')];
    inFlight.push(a);
    inFlight.writeBatch(new FrameWriter());
    inFlight.push(b);
    expect(inFlight.takeUnwritten()).to.deep.equal([b]);
    expect(inFlight.takeUnwritten()).to.deep.equal([]);
    expect(inFlight.written).to.deep.equal([a]);
  });

  it('know that one with a crash on its record is among them', () => {
    const inFlight = new InFlight();
    const a = request('a');
    expect(inFlight.hasSuspect).to.equal(false);
    inFlight.push(a);
    expect(inFlight.hasSuspect).to.equal(false);
    a.crashes = 1;
    expect(inFlight.hasSuspect).to.equal(true);
    inFlight.writeBatch(new FrameWriter());
    expect(inFlight.hasSuspect).to.equal(true);
    inFlight.clear();
    expect([inFlight.hasSuspect, inFlight.length]).to.deep.equal([false, 0]);
  });
});
