import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { boolean, integer, kindOf, oneOf, osText, refuseUnknown, shown } from '../options';
import type { ChildSpec, DescriptorUse } from '../process/child-spec';

/**
 * What `new PortDuplex(command, args, options)` takes beside the command and its arguments. All have a default; an unknown
 * name is a TypeError.
 */
export interface PortDuplexOptions {
  /** The directory that the program runs in: a path or a `file:` URL. Default: this process's own. */
  readonly cwd?: string | URL | undefined;
  /**
   * Variables of the child's environment, those that the object inherits included, as for `spawn`; `undefined` as a value
   * takes one away. Default: none.
   */
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** Whether `env` is added to this process's own environment, as it is at the spawn, or is all there is. Default true. */
  readonly extendEnv?: boolean | undefined;
  /** What the program sees as its own name (argv[0]). Default: the command. */
  readonly argv0?: string | undefined;
  /** The user that the program runs as, by number, from 0 to 2^31 - 1. Default: this process's own. */
  readonly uid?: number | undefined;
  /** The group that the program runs as, by number, from 0 to 2^31 - 1. Default: this process's own. */
  readonly gid?: number | undefined;
  /**
   * Destroys the port with an AbortError. One that has already fired starts nothing; one that fires after the program has
   * ended with a success and all was read does nothing. Default: none.
   */
  readonly signal?: AbortSignal | undefined;
  /** Destroys the port with a TimeoutError when the child still runs this many milliseconds after its spawn. Default: none. */
  readonly timeoutMs?: number | undefined;
  /** The exit codes that are a success; with an empty list every end is an error. Default `[0]`. */
  readonly successCodes?: readonly number[] | undefined;
  /** `'ignore'` makes the port a pure source: the child's stdin is empty. Default `'pipe'`. */
  readonly stdin?: 'pipe' | 'ignore' | undefined;
  /** `'ignore'` makes the port a pure sink: `finish` comes after the exit. Default `'pipe'`. */
  readonly stdout?: 'pipe' | 'ignore' | undefined;
  /**
   * `'pipe'`: drained, its last bytes are kept for the error, and `port.stderr` gives all of it to a reader. `'inherit'`:
   * goes to this process's own stderr. `'ignore'`: thrown away. `'stdout'`: it is the same descriptor as its stdout, so
   * that both come as one stream in the order in which they were written, and no error has a tail of it; not on Windows.
   * Default `'pipe'`.
   */
  readonly stderr?: 'pipe' | 'inherit' | 'ignore' | 'stdout' | undefined;
  /** How many bytes of stderr are kept for the error. Default 16 KiB. */
  readonly stderrTailBytes?: number | undefined;
  /**
   * What it means that the child takes no more input before all is written. `'discard'`: nothing, as in a shell; the
   * rest is taken and dropped. `'error'`: an InputClosedError after the output, whatever the exit code. Default
   * `'discard'`.
   */
  readonly onInputClosed?: 'discard' | 'error' | undefined;
  /** How long, in milliseconds, stdout may be silent after the exit while a descendant holds it. Default 150. */
  readonly orphanGraceMs?: number | undefined;
  /** The signal that asks the child to end when the port is destroyed. Default `'SIGTERM'`. */
  readonly killSignal?: NodeJS.Signals | undefined;
  /**
   * How many milliseconds after `killSignal` SIGKILL follows. Default 5000. Its stdin stays open all the time: a program that
   * catches `killSignal` and then waits for the end of its input is ended by SIGKILL.
   */
  readonly forceKillAfterMs?: number | undefined;
  /**
   * Ends the child's descendants with the port, also those that it left behind. The child then leads a process group of
   * its own, so Ctrl-C in the terminal reaches it only through this process. A descendant that calls setsid(2) escapes.
   * Not on Windows. Default false.
   */
  readonly killTree?: boolean | undefined;
  /** Bytes buffered on either side before back-pressure. Default 128 KiB. */
  readonly highWaterMark?: number | undefined;
  /**
   * Gives the child the descriptor of its neighbour where it can, as a shell does for `<`, `>` and `|`: of a fresh fs
   * stream over a whole file, of another port with `redirect`. The bytes then bypass this process: they are not counted,
   * no `data` is emitted, and stdout is not watched for descendants that hold it. Default false.
   */
  readonly redirect?: boolean | undefined;
  /**
   * Further descriptors of the program, by their numbers from 3 to 255, and what the program does with each: it reads what
   * goes `'in'`, writes what comes `'out'`, or both (`'duplex'`, a socket). `port.fds` has the streams. With
   * `pipes: true` what goes one way is a pipe, for up to seven of all its descriptors. Default: none.
   */
  readonly stdio?: Readonly<Record<number, 'in' | 'out' | 'duplex'>> | undefined;
  /**
   * `'fd3'`: what is written goes to the program's descriptor 3, and what is read is what it writes to 4, as with Erlang's
   * `nouse_stdio`; so nothing that it prints can get between them. What it prints on stdout goes where its stderr goes,
   * and its stdin is empty. Not together with `redirect` or `stderr: 'stdout'`, and not on Windows. Default `'stdio'`.
   */
  readonly channel?: 'stdio' | 'fd3' | undefined;
  /**
   * Gives the program pipes, as a shell does, where Node gives it sockets: it can then open `/dev/stdin`, `/dev/stdout` and
   * `/dev/stderr`, and short messages take half of the time. The start takes a few milliseconds longer. Only on Linux, in
   * the main thread, with a /bin/sh that makes pipes of here-documents (dash, bash from 5.1, busybox) and with /proc;
   * anywhere else, and where the system refuses, the program gets sockets, and a line of `NODE_DEBUG=rexport` says why.
   * Default false.
   */
  readonly pipes?: boolean | undefined;
}

export interface PortDuplexSettings {
  readonly child: ChildSpec;
  readonly signal: AbortSignal | undefined;
  readonly timeoutMs: number | undefined;
  readonly successCodes: readonly number[];
  readonly stderrTailBytes: number;
  readonly onInputClosed: 'discard' | 'error';
  readonly orphanGraceMs: number;
  readonly forceKillAfterMs: number;
  readonly redirect: boolean;
  readonly pipes: boolean;
  /** What the Duplex is told of its two sides; a side without a pipe does not exist. */
  readonly sides: { readonly readable: boolean; readonly writable: boolean; readonly highWaterMark: number };
}

/** The longest delay that a timer takes (2^31 - 1 ms, 24.8 days). */
const MAX_DELAY_MS = 2 ** 31 - 1;
const MAX_BUFFER_BYTES = 2 ** 30;
/** Those of `stdio`. */
const FIRST_FD = 3;
const LAST_FD = 255;
/** The largest number that Node takes for a user or a group. */
const MAX_ID = 2 ** 31 - 1;
/** Windows has exit codes of 32 bits, the others of 8. */
const MAX_EXIT_CODE = 2 ** 32 - 1;

export const PORT_DUPLEX_KEYS: readonly (keyof PortDuplexOptions)[] = [
  'cwd',
  'env',
  'extendEnv',
  'argv0',
  'uid',
  'gid',
  'signal',
  'timeoutMs',
  'successCodes',
  'stdin',
  'stdout',
  'stderr',
  'stderrTailBytes',
  'onInputClosed',
  'orphanGraceMs',
  'killSignal',
  'forceKillAfterMs',
  'killTree',
  'highWaterMark',
  'redirect',
  'stdio',
  'channel',
  'pipes',
];

/**
 * Takes the constructor's arguments, `(command, args?, options?)` or `(command, options?)`.
 * @throws TypeError or RangeError, with the name of what was wrong, what was expected and what came
 */
export function checkPortDuplexOptions(command: unknown, second: unknown, third: unknown): PortDuplexSettings {
  const isShort = third === undefined && typeof second === 'object' && !Array.isArray(second);
  const [args, options] = (isShort ? [[], second ?? {}] : [second ?? [], third ?? {}]) as [unknown, PortDuplexOptions];
  if (!Array.isArray(args)) throw new TypeError(`expected \`args\` to be an array, got ${kindOf(args)}`);
  refuseUnknown('PortDuplex', options, PORT_DUPLEX_KEYS);
  const { signal, timeoutMs, successCodes = [0] } = options;
  checkSignal(signal);
  if (!Array.isArray(successCodes)) {
    throw new TypeError(`expected \`successCodes\` to be an array of exit codes, got ${shown(successCodes)}`);
  }
  const child = checkChild(command, args, options);
  const highWaterMark = integer('highWaterMark', options.highWaterMark ?? 128 * 1024, 1, MAX_BUFFER_BYTES);
  return {
    child,
    signal,
    timeoutMs: timeoutMs === undefined ? undefined : integer('timeoutMs', timeoutMs, 1, MAX_DELAY_MS),
    successCodes: successCodes.map((code, index) => integer(`successCodes[${index}]`, code, 0, MAX_EXIT_CODE)),
    stderrTailBytes: integer('stderrTailBytes', options.stderrTailBytes ?? 16 * 1024, 0, MAX_BUFFER_BYTES),
    onInputClosed: oneOf('onInputClosed', options.onInputClosed ?? 'discard', ['discard', 'error']),
    orphanGraceMs: integer('orphanGraceMs', options.orphanGraceMs ?? 150, 0, MAX_DELAY_MS),
    forceKillAfterMs: integer('forceKillAfterMs', options.forceKillAfterMs ?? 5000, 0, MAX_DELAY_MS),
    redirect: boolean('redirect', options.redirect ?? false),
    pipes: boolean('pipes', options.pipes ?? false),
    sides: { readable: child.stdout === 'pipe', writable: child.stdin === 'pipe', highWaterMark },
  };
}

function checkChild(command: unknown, args: readonly unknown[], options: PortDuplexOptions): ChildSpec {
  const { argv0, uid, gid } = options;
  const program = osText('command', command);
  if (program === '') throw new RangeError("expected `command` to name a program, got ''");
  const killTree = boolean('killTree', options.killTree ?? false);
  if (process.platform === 'win32') refuseOnWindows(options);
  return {
    command: program,
    args: Array.from(args, (arg, index) => osText(`args[${index}]`, arg, kindOf)),
    cwd: checkCwd(options),
    env: checkEnv(options),
    argv0: argv0 === undefined ? undefined : osText('argv0', argv0),
    uid: uid === undefined ? undefined : integer('uid', uid, 0, MAX_ID),
    gid: gid === undefined ? undefined : integer('gid', gid, 0, MAX_ID),
    stdin: oneOf('stdin', options.stdin ?? 'pipe', ['pipe', 'ignore']),
    stdout: oneOf('stdout', options.stdout ?? 'pipe', ['pipe', 'ignore']),
    stderr: oneOf('stderr', options.stderr ?? 'pipe', ['pipe', 'inherit', 'ignore', 'stdout'] as const),
    channel: oneOf('channel', options.channel ?? 'stdio', ['stdio', 'fd3'] as const),
    descriptors: checkDescriptors(options),
    killSignal: checkSignalName('killSignal', options.killSignal ?? 'SIGTERM'),
    killTree,
  };
}

function refuseOnWindows({ killTree, stderr, channel }: PortDuplexOptions): void {
  if (killTree === true) throw new RangeError('expected `killTree` to be false on Windows, got true');
  if (stderr === 'stdout') throw new RangeError("expected `stderr` to be no 'stdout' on Windows, got 'stdout'");
  if (channel === 'fd3') throw new RangeError("expected `channel` to be 'stdio' on Windows, got 'fd3'");
}

function checkDescriptors({ stdio = {}, channel, stderr, redirect }: PortDuplexOptions): ChildSpec['descriptors'] {
  if (typeof stdio !== 'object' || (stdio as unknown) === null || Array.isArray(stdio)) {
    throw new TypeError(`expected \`stdio\` to be an object such as { 3: 'out' }, got ${shown(stdio)}`);
  }
  const descriptors: Record<number, DescriptorUse> = {};
  for (const [name, use] of Object.entries(stdio) as [string, unknown][]) {
    const fd = Number(name);
    if (String(fd) !== name || !Number.isInteger(fd) || fd < FIRST_FD || fd > LAST_FD) {
      throw new RangeError(`expected the names in \`stdio\` to be from ${FIRST_FD} to ${LAST_FD}, got ${shown(name)}`);
    }
    if (use !== undefined) descriptors[fd] = oneOf(`stdio[${fd}]`, use, ['in', 'out', 'duplex'] as const);
  }
  const beside = {
    '`redirect`': redirect === true,
    "`stderr: 'stdout'`": stderr === 'stdout',
    '`stdio[3]`': 3 in descriptors,
    '`stdio[4]`': 4 in descriptors,
  };
  const [other] = Object.entries(beside).find(([, isThere]) => isThere) ?? [];
  if (channel !== 'fd3' || other === undefined) return descriptors;
  throw new TypeError(`expected \`channel: 'fd3'\` without ${other}, got both`);
}

function checkCwd({ cwd }: PortDuplexOptions): string | undefined {
  if (cwd === undefined) return undefined;
  if (cwd instanceof URL ? cwd.protocol !== 'file:' : typeof cwd !== 'string') {
    throw new TypeError(
      `expected \`cwd\` to be a path or a file: URL, got ${cwd instanceof URL ? cwd.href : shown(cwd)}`,
    );
  }
  if (cwd === '') throw new RangeError("expected `cwd` to name a directory, got ''");
  return osText('cwd', cwd instanceof URL ? fileURLToPath(cwd) : cwd);
}

function checkEnv({ env = {}, extendEnv }: PortDuplexOptions): NodeJS.ProcessEnv {
  if (typeof env !== 'object' || (env as unknown) === null || Array.isArray(env)) {
    throw new TypeError(`expected \`env\` to be an object, got ${kindOf(env)}`);
  }
  const variables: NodeJS.ProcessEnv = {};
  // With those on the prototype, which `spawn` takes too.
  for (const key in env) {
    const value = env[key];
    osText('the name of a variable in env', key, kindOf);
    if (key === '' || key.includes('=')) {
      const got = key === '' ? "''" : 'one with a =';
      throw new TypeError(`expected the name of a variable in env to have a character and no =, got ${got}`);
    }
    if (value !== undefined) osText(`env.${key}`, value, kindOf);
    variables[key] = value;
  }
  if (!boolean('extendEnv', extendEnv ?? true)) return variables;
  // The spawn copies it anyway, and that is dear: each variable is a call to the system's library.
  return Object.keys(variables).length === 0 ? process.env : { ...process.env, ...variables };
}

export function checkSignalName(name: string, value: unknown): NodeJS.Signals {
  if (typeof value === 'string' && Object.hasOwn(constants.signals, value)) return value as NodeJS.Signals;
  throw new TypeError(`expected \`${name}\` to be the name of a signal such as 'SIGTERM', got ${shown(value)}`);
}

/** By its shape: a signal of another realm is one too. */
export function checkSignal(value: unknown): void {
  if (value === undefined) return;
  const methods = ['addEventListener', 'removeEventListener'];
  if (typeof value === 'object' && value !== null && 'aborted' in value && methods.every((name) => name in value))
    return;
  throw new TypeError(`expected \`signal\` to be an AbortSignal, got ${shown(value)}`);
}
