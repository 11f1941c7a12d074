import fs from 'node:fs';
import { expect } from 'chai';
import { Port } from '../../lib/port/port';
import { checkPortOptions } from '../../lib/port/port-options';
import { thrownBy } from '../support/frames';

/** The checks see what a caller without a type checker may hand over. */
const check = (...args: unknown[]): ReturnType<typeof checkPortOptions> => checkPortOptions(args[0], args[1], args[2]);

describe('Port options: the arguments', () => {
  it('are a command, perhaps arguments, perhaps options', () => {
    for (const args of [['cat'], ['cat', []], ['cat', {}], ['cat', [], {}], ['cat', undefined, {}]]) {
      expect(check(...args)).to.deep.include({ command: 'cat', args: [] });
    }
    expect(check('cat', ['-n'], { maxQueue: 1 })).to.deep.include({ args: ['-n'], maxQueue: 1 });
    expect(check('cat', { maxQueue: 1 })).to.deep.include({ args: [], maxQueue: 1 });
  });

  it('are refused where they are wrong', () => {
    for (const args of [[], [''], [42], ['a\0b'], ['cat', 'args'], ['cat', [1]], ['cat', [], 5], ['cat', {}, {}]]) {
      const error = thrownBy(() => check(...args)) as Error;
      expect(error, JSON.stringify(args)).to.satisfy((e: unknown) => e instanceof TypeError || e instanceof RangeError);
      expect(error.message).to.match(/^expected /);
    }
  });

  it('are copied: what the caller does with his own later changes nothing', () => {
    const [args, options] = [['-n'], { env: { A: '1' }, successCodes: [0], backoff: { minMs: 5 }, packet: 2 as const }];
    const settings = check('cat', args, options);
    const { args: own, successCodes, backoff, format, spawnOptions } = settings;
    const before = JSON.stringify([own, successCodes, backoff, format, spawnOptions.env]);
    args.push('-s');
    Object.assign(options, { packet: 4 });
    options.backoff.minMs = 6;
    options.env.A = '2';
    options.successCodes.push(9);
    expect(JSON.stringify([own, successCodes, backoff, format, spawnOptions.env])).to.equal(before);
  });
});

describe('Port options: the defaults', () => {
  it('are those of the documentation', () => {
    const { spawnOptions, framing, ...settings } = check('cat');
    expect(framing.parser().isInsideMessage).to.equal(false);
    expect(spawnOptions).to.deep.equal({ cwd: undefined, env: undefined, signal: undefined });
    expect(settings).to.deep.equal({
      command: 'cat',
      args: [],
      signal: undefined,
      format: {},
      successCodes: [0],
      encode: undefined,
      decode: undefined,
      protocol: undefined,
      start: undefined,
      stop: undefined,
      isStartBounded: false,
      maxMessageBytes: 64 * 1024 * 1024,
      farewellMs: 1000,
      lastWordsMs: 1150,
      startTimeoutMs: 30_000,
      runTimeoutMs: undefined,
      open: undefined,
      size: 1,
      minSize: 1,
      idleTimeoutMs: undefined,
      jitter: 0,
      maxInFlight: 1,
      maxQueue: Infinity,
      requestTimeoutMs: undefined,
      restart: 'permanent',
      maxRestarts: 5,
      withinMs: 30_000,
      backoff: { minMs: 100, maxMs: 30_000 },
      minUptimeMs: 1000,
      maxRequests: Infinity,
      maxAgeMs: undefined,
      maxRssBytes: undefined,
      closeTimeoutMs: 5000,
    });
  });

  it('stand for undefined', () => {
    const keys = [
      'maxInFlight',
      'maxQueue',
      'restart',
      'backoff',
      'maxRequests',
      'maxAgeMs',
      'maxRssBytes',
      'encode',
      'packet',
      'cwd',
    ];
    const given = Object.fromEntries(keys.map((key) => [key, undefined]));
    const settings = check('cat', given);
    expect(settings).to.include({ maxInFlight: 1, restart: 'permanent', maxRequests: Infinity });
    expect(settings.backoff).to.deep.equal({ minMs: 100, maxMs: 30_000 });
    expect([settings.encode, settings.decode]).to.deep.equal([undefined, undefined]);
  });

  it('follow one half of the backoff where the other is given', () => {
    expect(check('cat', { backoff: { minMs: 5 } }).backoff).to.deep.equal({ minMs: 5, maxMs: 30_000 });
    expect(check('cat', { backoff: { maxMs: 500 } }).backoff).to.deep.equal({ minMs: 100, maxMs: 500 });
    expect(check('cat', { backoff: { minMs: 40_000 } }).backoff.maxMs).to.equal(40_000);
    expect(check('cat', { backoff: { maxMs: 20 } }).backoff).to.deep.equal({ minMs: 20, maxMs: 20 });
  });
});

describe('Port options: refused at once, with what was expected and what came', () => {
  const cases: [string, unknown[]][] = [
    ['maxInFlight', [0, -1, 1.5, NaN, Infinity, '1']],
    ['maxQueue', [-1, 1.5, NaN, '1', null]],
    ['requestTimeoutMs', [0, -1, 2 ** 31, Infinity, '1', null]],
    ['restart', ['always', true]],
    ['maxRestarts', [-1, 0.5, Infinity, '5']],
    ['withinMs', [0, 2 ** 31, '5']],
    ['backoff', [5, null, [], { min: 1 }]],
    ['backoff.minMs', [{ minMs: -1 }, { minMs: '1' }, { minMs: 2 ** 31 }].map((backoff) => ({ backoff }))],
    ['backoff.maxMs', [{ minMs: 5, maxMs: 4 }, { maxMs: -1 }, { maxMs: '9' }].map((backoff) => ({ backoff }))],
    ['minUptimeMs', [-1, '5']],
    ['maxRequests', [0, 1.5, '5', null]],
    ['maxAgeMs', [0, 2 ** 31, '5', null]],
    ['maxRssBytes', [0, 1.5, -1, '64MB', null]],
    ['closeTimeoutMs', [0, Infinity, '5']],
    ['encode', ['utf8', null, {}]],
    ['decode', ['utf8', null, {}]],
    ['packet', [0, 3, '4']],
    ['maxMessageBytes', [0, -1, 2 ** 53, '5']],
    ['signal', [{}, 'SIGTERM', null]],
    ['successCodes', [0, [-1], ['0']]],
    ['stderr', ['merge', 5]],
    ['forceKillAfterMs', [-1, '5']],
  ];
  for (const [name, values] of cases) {
    it(name, () => {
      for (const value of values) {
        const options = name.includes('.') ? value : { [name]: value };
        const error = thrownBy(() => new Port('cat', options as object)) as Error;
        expect(error, JSON.stringify(options)).to.satisfy(
          (e: unknown) => e instanceof TypeError || e instanceof RangeError,
        );
        expect(error.message)
          .to.match(/^expected /)
          .and.to.include(name);
      }
    });
  }

  it('one that a port decides for itself, one of a transform, and one that nobody knows', () => {
    const decided = ['stdin', 'stdout', 'redirect', 'onInputClosed', 'timeoutMs', 'highWaterMark'];
    for (const name of [...decided, 'concurrency', 'copy', 'size', 'retries']) {
      expect(() => new Port('cat', { [name]: 1 }), name)
        .to.throw(TypeError, /^expected the options of Port to be among /)
        .with.property('message')
        .that.includes(`got \`${name}\``);
    }
  });

  it('a length that its prefix cannot say, and a byte order without a prefix', () => {
    expect(() => new Port('cat', { packet: 1, maxMessageBytes: 256 })).to.throw(RangeError, /255/);
    expect(() => new Port('cat', { packet: 2, endian: 'little' })).to.throw(TypeError, /`endian`/);
    expect(() => new Port('cat', { packet: 2, prefix: 2 })).to.throw(TypeError, /either `packet` or `prefix`/);
  });

  it('and the environment is not in the message', () => {
    const secret = { SECRET: 'swordfish\0' };
    expect((thrownBy(() => new Port('cat', { env: secret })) as Error).message).to.not.include('swordfish');
  });
});

describe('Port options: maxRssBytes', () => {
  it('is refused by name where no /proc tells how much memory a child has', () => {
    const { readFileSync } = fs;
    fs.readFileSync = () => {
      throw new Error('ENOENT: no such file or directory');
    };
    try {
      expect(thrownBy(() => check('cat', { maxRssBytes: 1000 }))).to.include({
        name: 'RangeError',
        message: `expected \`maxRssBytes\` only on Linux with /proc, got 1000 on ${process.platform}`,
      });
      expect(thrownBy(() => check('cat', {}))).to.equal(undefined);
    } finally {
      fs.readFileSync = readFileSync;
    }
  });
});
