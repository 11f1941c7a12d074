import { runInNewContext } from 'node:vm';
import { expect } from 'chai';
import { boolean, integer, kindOf, oneOf, optionsOf, osText, refuseUnknown, shown } from '../lib/options';

describe('options: a value as it reads in a message', () => {
  const values: [title: string, value: unknown, text: string][] = [
    ['a string in quotes', 'abc', "'abc'"],
    ['an empty string', '', "''"],
    ['a number', 1.5, '1.5'],
    ['undefined', undefined, 'undefined'],
    ['null', null, 'null'],
    ['a symbol', Symbol('x'), 'Symbol(x)'],
    ['an array, its first items', [1, 2, 3, 4, 5], '[ 1, 2, 3, ... 2 more items ]'],
    ['an object, its first level', { a: { b: 1 } }, '{ a: [Object] }'],
    ['a text of several lines on one', 'a\nb', "'a\\nb'"],
  ];
  for (const [title, value, text] of values) it(title, () => expect(shown(value)).to.equal(text));

  it('stays one line of at most 100 characters, whatever the value is', () => {
    const large = Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`key${index}`, index]));
    for (const value of [new Error('boom'), 'x'.repeat(1e6), large, new Map([[large, large]]), class Some {}, shown]) {
      expect(shown(value)).to.have.length.at.most(100).and.not.include('\n');
    }
  });

  it('is named by its kind alone where its content may be a secret', () => {
    const values = ['abc', 1, 1n, true, undefined, null, [1], { a: 1 }, Symbol('x'), shown];
    expect(values.map(kindOf)).to.deep.equal([
      'a string',
      'a number',
      'a bigint',
      'a boolean',
      'undefined',
      'null',
      'an array',
      'an object',
      'a symbol',
      'a function',
    ]);
  });
});

describe('options: the set of them', () => {
  it('refuses an unknown one, with the known ones and the one that came', () => {
    expect(() => refuseUnknown('Thing', { size: 1, colour: 2 }, ['size', 'weight'])).to.throw(
      TypeError,
      'expected the options of Thing to be among size, weight, got `colour`',
    );
  });

  it('refuses what is no set of options', () => {
    for (const given of [null, 'abc', 7, ['size']]) {
      expect(() => refuseUnknown('Thing', given, ['size'])).to.throw(
        TypeError,
        `expected the options of Thing to be an object, got ${shown(given)}`,
      );
    }
  });

  it('names the known one that was most likely meant', () => {
    const known = ['timeoutMs', 'signal', 'maxMessageBytes', 'killSignal', 'killTree', 'size'];
    const guesses: [given: string, meant: string][] = [
      ['timeout', 'timeoutMs'],
      ['timeoutMS', 'timeoutMs'],
      ['timoutMs', 'timeoutMs'],
      ['tiemoutMs', 'timeoutMs'],
      ['maxMessage', 'maxMessageBytes'],
      ['maxMessageByte', 'maxMessageBytes'],
      ['kilTree', 'killTree'],
      ['sigal', 'signal'],
      ['SIZE', 'size'],
    ];
    for (const [given, meant] of guesses) {
      expect(() => refuseUnknown('Thing', { [given]: 1 }, known)).to.throw(
        TypeError,
        `got \`${given}\`; did you mean \`${meant}\`?`,
      );
    }
  });

  it('guesses nothing where no known one is near, however long the name is', () => {
    for (const given of ['colour', 'x', '', 'ms', 'retries', 'timeoutMs'.repeat(100_000)]) {
      const refused = (): void => refuseUnknown('Thing', { [given]: 1 }, ['timeoutMs', 'signal', 'size']);
      expect(refused).to.throw(TypeError, /got `[^`]*`$/);
    }
  });

  it('refuses an unknown one that a prototype has, but for what everything has', () => {
    const inherited = Object.create({ colour: 2 }) as object;
    expect(() => refuseUnknown('Thing', inherited, ['size'])).to.throw(TypeError, 'got `colour`');
    Object.assign(Object.prototype, { colour: 2 });
    try {
      refuseUnknown('Thing', {}, ['size']);
      refuseUnknown('Thing', runInNewContext('Object.prototype.colour = 2; ({ size: 1 })'), ['size']);
    } finally {
      Reflect.deleteProperty(Object.prototype, 'colour');
    }
  });

  it('is read from the object, its class and its prototypes, once each', () => {
    let reads = 0;
    class Settings {
      size = 1;
      get weight(): number {
        reads += 1;
        return 2;
      }
    }
    class OwnSettings extends Settings {}
    const read = optionsOf<{ size?: number; weight?: number; name?: string }>('Thing', new OwnSettings(), [
      'size',
      'weight',
      'name',
    ]);
    expect(read).to.deep.equal({ size: 1, weight: 2 });
    expect(Object.keys(read)).to.deep.equal(['size', 'weight']);
    expect(reads).to.equal(1);
    expect(optionsOf('Thing', Object.create({ size: 3 }) as object, ['size'])).to.deep.equal({ size: 3 });
    expect(optionsOf('Thing', Object.create(null) as object, ['size'])).to.deep.equal({});
  });

  it('is not read from what everything has', () => {
    Object.assign(Object.prototype, { size: 9 });
    try {
      expect(Object.keys(optionsOf('Thing', {}, ['size']))).to.deep.equal([]);
    } finally {
      Reflect.deleteProperty(Object.prototype, 'size');
    }
  });

  it('keeps a symbol that is known', () => {
    const known = Symbol('known');
    expect(optionsOf('Thing', { [known]: 1 }, ['size', known])).to.deep.equal({ [known]: 1 });
  });

  it('takes known ones, also where they are undefined', () => {
    refuseUnknown('Thing', { size: undefined }, ['size']);
    refuseUnknown('Thing', {}, ['size']);
  });
});

describe('options: an integer', () => {
  it('is taken with both ends of the range', () => {
    expect(integer('size', 1, 1, 3)).to.equal(1);
    expect(integer('size', 3, 1, 3)).to.equal(3);
  });

  it('is a RangeError outside the range, as a fraction, and as no number at all', () => {
    for (const value of [0, 4, 1.5, NaN, Infinity, -Infinity]) {
      expect(() => integer('size', value, 1, 3)).to.throw(
        RangeError,
        `expected \`size\` to be an integer from 1 to 3, got ${value}`,
      );
    }
  });

  it('is a TypeError where it is of another type', () => {
    for (const value of ['2', null, undefined, true, 2n, [2], new Date(2)]) {
      expect(() => integer('size', value, 1, 3)).to.throw(
        TypeError,
        `expected \`size\` to be an integer from 1 to 3, got ${shown(value)}`,
      );
    }
  });
});

describe('options: one of several', () => {
  it('is taken when it is among them', () => {
    expect(oneOf('packet', 4, [1, 2, 4])).to.equal(4);
  });

  it('is a RangeError of the right type, and a TypeError of another', () => {
    expect(() => oneOf('packet', 3, [1, 2, 4])).to.throw(RangeError, 'expected `packet` to be 1, 2 or 4, got 3');
    expect(() => oneOf('packet', '4', [1, 2, 4])).to.throw(TypeError, "expected `packet` to be 1, 2 or 4, got '4'");
    expect(() => oneOf('stdin', 'pip', ['pipe', 'ignore'])).to.throw(
      RangeError,
      "expected `stdin` to be 'pipe' or 'ignore', got 'pip'",
    );
  });
});

describe('options: a claim', () => {
  it('is true or false and nothing that only looks so', () => {
    expect(boolean('copy', true)).to.be.true;
    expect(boolean('copy', false)).to.be.false;
    for (const value of [1, 0, 'true', null, undefined]) {
      expect(() => boolean('copy', value)).to.throw(
        TypeError,
        `expected \`copy\` to be true or false, got ${shown(value)}`,
      );
    }
  });
});

describe('options: a text for the operating system', () => {
  it('is any string without a NUL', () => {
    for (const text of ['', ' ', 'ä\n"*$HOME']) expect(osText('cwd', text)).to.equal(text);
  });

  it('is a TypeError where it is no string', () => {
    expect(() => osText('cwd', 5)).to.throw(TypeError, 'expected `cwd` to be a string, got 5');
  });

  it('is a RangeError with a NUL in it, and says where', () => {
    expect(() => osText('cwd', 'ab\0c')).to.throw(
      RangeError,
      "expected `cwd` to have no NUL byte, got one at position 2 of 'ab\\x00c'",
    );
  });

  it('is not shown where it may be a secret', () => {
    expect(() => osText('args[0]', 5, kindOf)).to.throw(TypeError, 'expected `args[0]` to be a string, got a number');
    expect(() => osText('args[0]', 'key\0', kindOf)).to.throw(
      RangeError,
      'expected `args[0]` to have no NUL byte, got one at position 3 of a string',
    );
  });
});
