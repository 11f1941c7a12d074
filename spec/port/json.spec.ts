import { expect } from 'chai';
import { expectTypeOf } from 'expect-type';
import { json, Port } from '../../lib';
import { rejection } from '../support/streams';

describe('json', () => {
  const values = [0, -1.5, '', 'é🙂', true, null, [], {}, { rows: [1, { a: 'b' }], none: null }];

  for (const value of values) {
    it(`brings back ${JSON.stringify(value)}`, () => {
      expect(json.decode(Buffer.from(json.encode(value)))).to.deep.equal(value);
    });
  }

  it('reads a message that is a view on a larger chunk', () => {
    expect(json.decode(Buffer.from('xx{"a":1}yy').subarray(2, 9))).to.deep.equal({ a: 1 });
  });

  for (const value of [undefined, () => {}, Symbol('nothing')]) {
    it(`refuses ${typeof value}, which JSON cannot say`, () => {
      expect(() => json.encode(value)).to.throw(TypeError, 'expected a request that JSON can say, got');
    });
  }

  it('gives and takes what the caller says', () => {
    type Row = { name: string };
    type Score = { score: number };
    const scored = new Port<Row, Score>('cat', { ...json });
    expectTypeOf<typeof scored.request>().parameter(0).toEqualTypeOf<Row>();
    expectTypeOf<typeof scored.request>().returns.resolves.toEqualTypeOf<Score>();
    const unsaid = new Port('cat', { ...json });
    expectTypeOf<typeof unsaid.request>().returns.resolves.toBeUnknown();
    const plain = new Port('cat');
    expectTypeOf<typeof plain.request>().returns.resolves.toEqualTypeOf<Buffer>();
    for (const port of [scored, unsaid, plain]) expect(port.state).to.equal('idle');
  });

  it('fails one request by what cannot be encoded or decoded, and the port goes on', async () => {
    await using port = new Port('cat', { encode: json.encode, decode: json.decode });
    expect(await rejection(port.request(undefined))).to.be.instanceOf(TypeError);
    await using garbled = new Port<string, unknown>('cat', { decode: json.decode });
    expect(await rejection(garbled.request('{"cut":'))).to.be.instanceOf(SyntaxError);
    expect(await garbled.request('[1]')).to.deep.equal([1]);
    expect(await port.request({ a: 1 })).to.deep.equal({ a: 1 });
    expect([garbled.restarts, port.restarts]).to.deep.equal([0, 0]);
  });
});
