import { pathToFileURL } from 'node:url';
import { expect } from 'chai';
import { PortDuplex } from '../../lib';
import { checkPortDuplexOptions, checkSignalName } from '../../lib/duplex/port-duplex-options';

/** The checks see what a caller without a type checker may hand over. */
const check = (...args: unknown[]): ReturnType<typeof checkPortDuplexOptions> =>
  checkPortDuplexOptions(args[0], args[1], args[2]);

describe('PortDuplex options: the arguments', () => {
  it('are a command, perhaps arguments, perhaps options', () => {
    for (const args of [
      ['cat'],
      ['cat', []],
      ['cat', {}],
      ['cat', [], {}],
      ['cat', undefined, {}],
      ['cat', [], null],
    ]) {
      expect(check(...args).child).to.include({ command: 'cat' });
    }
    expect(check('cat', ['-n'], { argv0: 'x' }).child).to.deep.include({ args: ['-n'], argv0: 'x' });
    expect(check('cat', { argv0: 'x' }).child).to.deep.include({ args: [], argv0: 'x' });
    expect(check('cat', undefined, { argv0: 'x' }).child).to.deep.include({ args: [], argv0: 'x' });
  });

  it('are copied: what the caller does with his own later changes nothing', () => {
    const [args, env, successCodes] = [['-n'], { A: '1' }, [0, 1]];
    const settings = check('cat', args, { env, extendEnv: false, successCodes });
    args.push('-s');
    env.A = '2';
    successCodes.push(2);
    expect(settings.child).to.deep.include({ args: ['-n'], env: { A: '1' } });
    expect(settings.successCodes).to.deep.equal([0, 1]);
  });
});

describe('PortDuplex options: the defaults', () => {
  it('are those of the documentation', () => {
    const { child, ...settings } = check('cat');
    expect(settings).to.deep.equal({
      signal: undefined,
      timeoutMs: undefined,
      successCodes: [0],
      stderrTailBytes: 16_384,
      onInputClosed: 'discard',
      orphanGraceMs: 150,
      forceKillAfterMs: 5000,
      redirect: false,
      pipes: false,
      sides: { readable: true, writable: true, highWaterMark: 131_072 },
    });
    const { env, ...others } = child;
    expect(env).to.deep.equal({ ...process.env });
    expect(others).to.deep.equal({
      command: 'cat',
      args: [],
      cwd: undefined,
      argv0: undefined,
      uid: undefined,
      gid: undefined,
      stdin: 'pipe',
      stdout: 'pipe',
      stderr: 'pipe',
      killSignal: 'SIGTERM',
      killTree: false,
      descriptors: {},
      channel: 'stdio',
    });
  });

  it('stand in for undefined', () => {
    const known = ['cwd', 'env', 'extendEnv', 'argv0', 'uid', 'gid', 'signal', 'timeoutMs', 'successCodes', 'stdin'];
    const more = ['stdout', 'stderr', 'stderrTailBytes', 'onInputClosed', 'orphanGraceMs', 'killSignal'];
    const rest = ['forceKillAfterMs', 'killTree', 'highWaterMark', 'redirect', 'pipes', 'stdio', 'channel'];
    const unset = Object.fromEntries([...known, ...more, ...rest].map((name) => [name, undefined]));
    expect(check('cat', unset)).to.deep.equal(check('cat'));
  });
});

describe('PortDuplex options: cwd and env', () => {
  it('takes a URL of a directory', () => {
    expect(check('cat', { cwd: pathToFileURL('/a b/ä') }).child.cwd).to.equal('/a b/ä');
  });

  it('adds env to our own environment, or lets it be all there is', () => {
    const env = { REXPORT_A: '1', PATH: undefined };
    expect(check('cat', { env }).child.env).to.deep.equal({ ...process.env, ...env });
    expect(check('cat', { env, extendEnv: false }).child.env).to.deep.equal(env);
  });
});

describe('PortDuplex options: a wrong one throws from the constructor, says what was expected and what came', () => {
  const nul = 'se\0cret';
  const wrong: [title: string, args: unknown[], type: typeof TypeError, message: string][] = [
    ['no command', [], TypeError, 'expected `command` to be a string, got undefined'],
    ['a command that is no string', [7], TypeError, 'expected `command` to be a string, got 7'],
    ['an empty command', [''], RangeError, "expected `command` to name a program, got ''"],
    [
      'a NUL byte in the command',
      [nul],
      RangeError,
      "expected `command` to have no NUL byte, got one at position 2 of 'se\\x00cret'",
    ],
    ['arguments that are no array', ['cat', '-n'], TypeError, 'expected `args` to be an array, got a string'],
    ['the same with options', ['cat', '-n', {}], TypeError, 'expected `args` to be an array, got a string'],
    ['options twice', ['cat', {}, {}], TypeError, 'expected `args` to be an array, got an object'],
    ['an argument that is no string', ['cat', ['a', 7]], TypeError, 'expected `args[1]` to be a string, got a number'],
    // a hole in the array is meant
    ['a hole in the arguments', ['cat', Array(1)], TypeError, 'expected `args[0]` to be a string, got undefined'],
    [
      'a NUL byte in an argument',
      ['cat', ['a', nul]],
      RangeError,
      'expected `args[1]` to have no NUL byte, got one at position 2 of a string',
    ],
    [
      'options that are no object',
      ['cat', [], 'x'],
      TypeError,
      "expected the options of PortDuplex to be an object, got 'x'",
    ],
    [
      'an unknown option',
      ['cat', { timeout: 5 }],
      TypeError,
      'expected the options of PortDuplex to be among cwd, env, extendEnv, argv0, uid, gid, signal, timeoutMs, ' +
        'successCodes, stdin, stdout, stderr, stderrTailBytes, onInputClosed, orphanGraceMs, killSignal, ' +
        'forceKillAfterMs, killTree, highWaterMark, redirect, stdio, channel, pipes, got `timeout`; did you mean `timeoutMs`?',
    ],
    ['a cwd that is no string', ['cat', { cwd: 7 }], TypeError, 'expected `cwd` to be a path or a file: URL, got 7'],
    ['an empty cwd', ['cat', { cwd: '' }], RangeError, "expected `cwd` to name a directory, got ''"],
    [
      'a NUL byte in cwd',
      ['cat', { cwd: '/a\0' }],
      RangeError,
      "expected `cwd` to have no NUL byte, got one at position 2 of '/a\\x00'",
    ],
    [
      'a cwd that is no URL of a file',
      ['cat', { cwd: new URL('http://localhost/') }],
      TypeError,
      'expected `cwd` to be a path or a file: URL, got http://localhost/',
    ],
    ['an env that is no object', ['cat', { env: 'A=b' }], TypeError, 'expected `env` to be an object, got a string'],
    ['an env that is a list', ['cat', { env: ['A=b'] }], TypeError, 'expected `env` to be an object, got an array'],
    [
      'an env with a name that has a =',
      ['cat', { env: { 'A=B': 'c' } }],
      TypeError,
      'expected the name of a variable in env to have a character and no =, got one with a =',
    ],
    [
      'an env with an empty name',
      ['cat', { env: { '': 'c' } }],
      TypeError,
      "expected the name of a variable in env to have a character and no =, got ''",
    ],
    ['a null env', ['cat', { env: null }], TypeError, 'expected `env` to be an object, got null'],
    [
      'a variable that is no string',
      ['cat', { env: { A: 7 } }],
      TypeError,
      'expected `env.A` to be a string, got a number',
    ],
    [
      'a NUL byte in a variable',
      ['cat', { env: { A: nul } }],
      RangeError,
      'expected `env.A` to have no NUL byte, got one at position 2 of a string',
    ],
    [
      "a NUL byte in a variable's name",
      ['cat', { env: { [nul]: '' } }],
      RangeError,
      'expected `the name of a variable in env` to have no NUL byte, got one at position 2 of a string',
    ],
    ['extendEnv', ['cat', { extendEnv: 1 }], TypeError, 'expected `extendEnv` to be true or false, got 1'],
    ['argv0', ['cat', { argv0: 7 }], TypeError, 'expected `argv0` to be a string, got 7'],
    ['uid', ['cat', { uid: 'root' }], TypeError, "expected `uid` to be an integer from 0 to 2147483647, got 'root'"],
    [
      'gid',
      ['cat', { gid: 2 ** 31 }],
      RangeError,
      'expected `gid` to be an integer from 0 to 2147483647, got 2147483648',
    ],
    ['signal', ['cat', { signal: 'SIGTERM' }], TypeError, "expected `signal` to be an AbortSignal, got 'SIGTERM'"],
    [
      'timeoutMs',
      ['cat', { timeoutMs: 0 }],
      RangeError,
      'expected `timeoutMs` to be an integer from 1 to 2147483647, got 0',
    ],
    [
      'successCodes',
      ['cat', { successCodes: 0 }],
      TypeError,
      'expected `successCodes` to be an array of exit codes, got 0',
    ],
    [
      'one of successCodes',
      ['cat', { successCodes: [0, -1] }],
      RangeError,
      'expected `successCodes[1]` to be an integer from 0 to 4294967295, got -1',
    ],
    ['stdin', ['cat', { stdin: 'inherit' }], RangeError, "expected `stdin` to be 'pipe' or 'ignore', got 'inherit'"],
    ['stdout', ['cat', { stdout: 1 }], TypeError, "expected `stdout` to be 'pipe' or 'ignore', got 1"],
    [
      'stderr',
      ['cat', { stderr: 'x' }],
      RangeError,
      "expected `stderr` to be 'pipe', 'inherit', 'ignore' or 'stdout', got 'x'",
    ],
    [
      'stdio',
      ['cat', { stdio: 'pipe' }],
      TypeError,
      "expected `stdio` to be an object such as { 3: 'out' }, got 'pipe'",
    ],
    [
      'a list as stdio',
      ['cat', { stdio: ['in'] }],
      TypeError,
      "expected `stdio` to be an object such as { 3: 'out' }, got [ 'in' ]",
    ],
    [
      'a descriptor below 3',
      ['cat', { stdio: { 2: 'in' } }],
      RangeError,
      "expected the names in `stdio` to be from 3 to 255, got '2'",
    ],
    [
      'a descriptor above 255',
      ['cat', { stdio: { 256: 'in' } }],
      RangeError,
      "expected the names in `stdio` to be from 3 to 255, got '256'",
    ],
    [
      'a descriptor that is no number',
      ['cat', { stdio: { '03': 'in' } }],
      RangeError,
      "expected the names in `stdio` to be from 3 to 255, got '03'",
    ],
    [
      'the use of a descriptor',
      ['cat', { stdio: { 3: 'pipe' } }],
      RangeError,
      "expected `stdio[3]` to be 'in', 'out' or 'duplex', got 'pipe'",
    ],
    ['channel', ['cat', { channel: 'fd5' }], RangeError, "expected `channel` to be 'stdio' or 'fd3', got 'fd5'"],
    [
      'a channel beside redirect',
      ['cat', { channel: 'fd3', redirect: true }],
      TypeError,
      "expected `channel: 'fd3'` without `redirect`, got both",
    ],
    [
      'a channel beside stderr into stdout',
      ['cat', { channel: 'fd3', stderr: 'stdout' }],
      TypeError,
      "expected `channel: 'fd3'` without `stderr: 'stdout'`, got both",
    ],
    [
      'a channel beside a use of its descriptors',
      ['cat', { channel: 'fd3', stdio: { 4: 'out' } }],
      TypeError,
      "expected `channel: 'fd3'` without `stdio[4]`, got both",
    ],
    [
      'stderrTailBytes',
      ['cat', { stderrTailBytes: -1 }],
      RangeError,
      'expected `stderrTailBytes` to be an integer from 0 to 1073741824, got -1',
    ],
    [
      'onInputClosed',
      ['cat', { onInputClosed: 'ignore' }],
      RangeError,
      "expected `onInputClosed` to be 'discard' or 'error', got 'ignore'",
    ],
    [
      'orphanGraceMs',
      ['cat', { orphanGraceMs: NaN }],
      RangeError,
      'expected `orphanGraceMs` to be an integer from 0 to 2147483647, got NaN',
    ],
    [
      'killSignal',
      ['cat', { killSignal: 'TERM' }],
      TypeError,
      "expected `killSignal` to be the name of a signal such as 'SIGTERM', got 'TERM'",
    ],
    [
      'forceKillAfterMs',
      ['cat', { forceKillAfterMs: 2 ** 31 }],
      RangeError,
      'expected `forceKillAfterMs` to be an integer from 0 to 2147483647, got 2147483648',
    ],
    ['killTree', ['cat', { killTree: 'yes' }], TypeError, "expected `killTree` to be true or false, got 'yes'"],
    [
      'highWaterMark',
      ['cat', { highWaterMark: 0 }],
      RangeError,
      'expected `highWaterMark` to be an integer from 1 to 1073741824, got 0',
    ],
    ['pipes', ['cat', { pipes: 1 }], TypeError, 'expected `pipes` to be true or false, got 1'],
    ['redirect', ['cat', { redirect: 'yes' }], TypeError, "expected `redirect` to be true or false, got 'yes'"],
  ];

  for (const [title, args, type, message] of wrong) {
    it(title, () => {
      const construct = (): PortDuplex => new PortDuplex(...(args as [string, string[]]));
      expect(construct).to.throw(type).with.property('message', message);
    });
  }

  it('without a word of the secrets in arguments and variables', () => {
    const construct = (...args: unknown[]): unknown => {
      try {
        return new PortDuplex(...(args as [string, string[]]));
      } catch (error) {
        return (error as Error).message;
      }
    };
    const messages = [
      construct('cat', ['secret\0']),
      construct('cat', [{ key: 'secret' }]),
      construct('cat', [Buffer.from('secret')]),
      construct('cat', 'secret'),
      construct('cat', { env: { A: 'secret\0' } }),
      construct('cat', { env: { A: { key: 'secret' } } }),
      construct('cat', { env: 'A=secret' }),
    ];
    for (const message of messages) expect(message).to.be.a('string').and.not.include('secret');
  });
});

describe('PortDuplex options: the name of a signal', () => {
  it('is one that this system has', () => {
    for (const name of ['SIGTERM', 'SIGKILL', 'SIGUSR1']) expect(checkSignalName('signal', name)).to.equal(name);
    for (const name of ['sigterm', 'SIGNAL', 'toString', 15, undefined]) {
      expect(() => checkSignalName('signal', name)).to.throw(TypeError, 'to be the name of a signal');
    }
  });
});
