import { availableParallelism } from 'node:os';
import { PORT_DUPLEX_KEYS, checkPortDuplexOptions, type PortDuplexOptions } from '../duplex/port-duplex-options';
import { FRAME_FORMAT_KEYS, prefixOf, type FrameFormat } from '../framing/format';
import { FrameParser } from '../framing/frame-parser';
import { FrameWriter, type Message } from '../framing/frame-writer';
import { checkFraming, type Framing } from '../framing/framing';
import { boolean, integer, oneOf, optionsOf, refuseUnknown, shown } from '../options';
import { residentBytes } from '../process/memory-watch';
import type { PoolSettings } from './pool';
import type { ChildHooks, Protocol } from './protocol';
import type { RestartOptions } from './restart-policy';
import { OPEN_CHILD, type OpenChild } from './session';

/** Those of a PortDuplex that a port decides for itself. */
type Decided = 'stdin' | 'stdout' | 'stdio' | 'onInputClosed' | 'timeoutMs' | 'highWaterMark' | 'redirect';

type Optional<T> = { readonly [Key in keyof T]?: T[Key] | undefined };

/** How requests become messages, and messages replies; `json` is one. */
export interface Codec<Request, Reply> {
  /** Makes a request's message. Default: requests are messages. */
  readonly encode?: ((request: Request) => Message) | undefined;
  /** Makes a reply of a message, which is the reply's own. Default: replies are Buffers. */
  readonly decode?: ((message: Buffer) => Reply) | undefined;
}

/**
 * What `new Port(command, args, options)` takes: these, those of a length prefix, and those of a PortDuplex that say how a
 * program is started and ended. All have a default; an unknown name is a TypeError.
 */
export interface PortOptions<Request = Message, Reply = Buffer, Event = never>
  extends
    Omit<PortDuplexOptions, Decided | 'pipes'>,
    FrameFormat,
    Codec<Request, Reply>,
    ChildHooks<Request, Reply>,
    Optional<Omit<RestartOptions, 'backoff'>> {
  /**
   * Whether the child has pipes for its stdin, stdout and stderr where they can be had (Linux), instead of Node's sockets: a
   * short message then takes about half of the time on its way. Elsewhere, and where the system refuses, it has sockets; see
   * the option of PortDuplex. `false` for a child that needs sockets, since it asks `getpeername` or reads by `recv`.
   * Default true.
   */
  readonly pipes?: boolean | undefined;
  /**
   * How messages lie in the bytes to and from the child: `lines()`, `contentLength()`, or your own. Instead of the
   * options of a length prefix, which are the default.
   */
  readonly framing?: Framing | undefined;
  /** What is said, where that is more than one reply to each message, in order. Instead of `encode` and `decode`. */
  readonly protocol?: Protocol<Request, Reply, Event> | undefined;
  /** How many requests a child is given before it has answered the first. Default 1. */
  readonly maxInFlight?: number | undefined;
  /** How many requests may wait in addition to those that the children hold. Default Infinity. */
  readonly maxQueue?: number | undefined;
  /** How many milliseconds a request may take, from its call to its reply. Default: any time. */
  readonly requestTimeoutMs?: number | undefined;
  /**
   * How many milliseconds a child may take for a request, from the moment it is given the request. For the first requests of
   * a child that time begins with its first reply, for which it has `startTimeoutMs`. Default: any time.
   */
  readonly runTimeoutMs?: number | undefined;
  /**
   * How many milliseconds a child that has never answered may take to its first reply, from its first request on; and for
   * `start`. Until then no deadline of a request ends it: a program with a slow start is not started again and again.
   * Default 30 000. Where it is left out, it only counts once a request has a `runTimeoutMs` or its `timeoutMs` has passed:
   * without any limit a first reply may take minutes.
   */
  readonly startTimeoutMs?: number | undefined;
  /** The delay before a restart doubles from `minMs` (100) to `maxMs` (30 000), and is drawn between 0 and that. */
  readonly backoff?: Optional<RestartOptions['backoff']> | undefined;
  /** A child that was given this many requests is replaced, without a gap. Default: no limit. */
  readonly maxRequests?: number | undefined;
  /** A child of this age in milliseconds is replaced, without a gap. Default: no limit. */
  readonly maxAgeMs?: number | undefined;
  /**
   * A child that has more resident memory than this between two requests, in bytes, is replaced, without a gap. It is
   * measured after its answers, at most ten times a second; its descendants are not counted. It is no bound for a
   * single request; `prlimit` before the command, or a cgroup, is. Only on Linux, where /proc shows it; elsewhere a
   * RangeError. Default: no limit.
   */
  readonly maxRssBytes?: number | undefined;
  /** How many milliseconds `close()` waits without a reply, and again from the end of the input to the exit. Default 5000. */
  readonly closeTimeoutMs?: number | undefined;
  /** @internal */
  readonly [OPEN_CHILD]?: OpenChild | undefined;
}

/** What `new PortPool(command, args, options)` takes: those of a Port, and these. */
export interface PortPoolOptions<Request = Message, Reply = Buffer, Event = never> extends PortOptions<
  Request,
  Reply,
  Event
> {
  /** How many children there are at most, 1 to 1024; they are started as they are needed. Default: as many as there are cores. */
  readonly size?: number | undefined;
  /** A child that had nothing to do for this many milliseconds leaves, until it is needed again. Default: none leaves. */
  readonly idleTimeoutMs?: number | undefined;
  /** How many children `start()` starts, and how many stay though they have nothing to do. Default 0. */
  readonly minSize?: number | undefined;
}

/** The hooks that make messages of requests, and replies of messages: needed where the types are others than those. */
export type NeededHooks<Request, Reply, Event> =
  | (([Request] extends [Message] ? unknown : { readonly encode: (request: Request) => Message }) &
      ([Buffer] extends [Reply] ? unknown : { readonly decode: (message: Buffer) => Reply }))
  | { readonly protocol: Protocol<Request, Reply, Event> };

/** The command of a port without options, whose requests are messages and whose replies are Buffers. */
export type PlainCommand<Request, Reply> = [Request, Buffer] extends [Message, Reply] ? string : never;

const MAX_DELAY_MS = 2 ** 31 - 1;
/** A busy system takes its time to reap; too short, and it is not known how a child ended that closed its pipes first. */
const FAREWELL_MS = 1000;
/** How much longer than its own bound a stream may take to tell how its child ended: more, and a descendant writes on. */
const LAST_WORDS_MS = 1000;
const DECIDED: readonly string[] = [
  'stdin',
  'stdout',
  'stdio',
  'onInputClosed',
  'timeoutMs',
  'highWaterMark',
  'redirect',
];
const SPAWN_KEYS: readonly string[] = PORT_DUPLEX_KEYS.filter((key) => !DECIDED.includes(key));
const OWN_KEYS: readonly string[] = [
  'encode',
  'decode',
  'framing',
  'protocol',
  'start',
  'stop',
  'maxInFlight',
  'maxQueue',
  'requestTimeoutMs',
  'runTimeoutMs',
  'startTimeoutMs',
  'restart',
  'maxRestarts',
  'withinMs',
  'backoff',
  'minUptimeMs',
  'maxRequests',
  'maxAgeMs',
  'maxRssBytes',
  'closeTimeoutMs',
];
const PORT_KEYS: readonly PropertyKey[] = [...SPAWN_KEYS, ...FRAME_FORMAT_KEYS, ...OWN_KEYS, OPEN_CHILD];
const POOL_KEYS: readonly PropertyKey[] = [...PORT_KEYS, 'size', 'minSize', 'idleTimeoutMs'];
const MAX_SIZE = 1024;
/** The limits of a pool's children are drawn from this share below what was asked, so that they do not meet. */
const POOL_JITTER = 0.2;

/**
 * Takes the constructor's arguments, `(command, args?, options?)` or `(command, options?)`.
 * @throws TypeError or RangeError, with the name of what was wrong, what was expected and what came
 */
export function checkPortOptions(command: unknown, second: unknown, third: unknown): PoolSettings {
  const { args, options } = argumentsOf('Port', PORT_KEYS, second, third);
  return check('Port', command, args, options);
}

/** The same, of a pool. */
export function checkPortPoolOptions(command: unknown, second: unknown, third: unknown): PoolSettings {
  const { args, options } = argumentsOf('PortPool', POOL_KEYS, second, third);
  const { size = availableParallelism(), minSize = 0, idleTimeoutMs } = options;
  integer('size', size, 1, MAX_SIZE);
  return {
    ...check('PortPool', command, args, options),
    size,
    minSize: integer('minSize', minSize, 0, size),
    idleTimeoutMs: optionalMs('idleTimeoutMs', idleTimeoutMs),
    jitter: POOL_JITTER,
  };
}

/** Any port's. */
type Options = PortPoolOptions<unknown, unknown, unknown>;

/** The arguments are `(command, args?, options?)` or `(command, options?)`. */
function argumentsOf(
  what: string,
  keys: readonly PropertyKey[],
  second: unknown,
  third: unknown,
): { readonly args: unknown; readonly options: Options } {
  const hasArgs = Array.isArray(second) || third !== undefined;
  const options = ((hasArgs ? third : second) ?? {}) as Options;
  return { args: hasArgs ? second : [], options: optionsOf(what, options, keys) };
}

function check(what: string, command: unknown, args: unknown, options: Options): PoolSettings {
  const spawnOptions: PortDuplexOptions = pick(options, SPAWN_KEYS);
  const checked = checkPortDuplexOptions(command, args, spawnOptions);
  const format: FrameFormat = pick(options, FRAME_FORMAT_KEYS);
  const framing = checkFramingOptions(what, options, format);
  const { env, encode, decode, maxQueue = Infinity } = options;
  return {
    ...checkRestart(options),
    command: checked.child.command,
    args: checked.child.args,
    // Our own, for the next child is spawned long after; and the signal ends the port, not one child after another.
    spawnOptions: { ...spawnOptions, cwd: checked.child.cwd, env: env && copyOf(env), signal: undefined },
    signal: checked.signal,
    ...framing,
    format,
    protocol: checkProtocol(options),
    start: hook('start', options.start),
    stop: hook('stop', options.stop),
    successCodes: checked.successCodes,
    farewellMs: FAREWELL_MS,
    lastWordsMs: checked.orphanGraceMs + LAST_WORDS_MS,
    isStartBounded: options.startTimeoutMs !== undefined,
    startTimeoutMs: integer('startTimeoutMs', options.startTimeoutMs ?? 30_000, 1, MAX_DELAY_MS),
    open: options[OPEN_CHILD],
    size: 1,
    minSize: 1,
    idleTimeoutMs: undefined,
    jitter: 0,
    maxInFlight: integer('maxInFlight', options.maxInFlight ?? 1, 1, Number.MAX_SAFE_INTEGER),
    maxQueue: maxQueue === Infinity ? maxQueue : integer('maxQueue', maxQueue, 0, Number.MAX_SAFE_INTEGER),
    requestTimeoutMs: optionalMs('requestTimeoutMs', options.requestTimeoutMs),
    runTimeoutMs: optionalMs('runTimeoutMs', options.runTimeoutMs),
    encode: hook('encode', encode),
    decode: hook('decode', decode),
    maxRequests:
      options.maxRequests === undefined
        ? Infinity
        : integer('maxRequests', options.maxRequests, 1, Number.MAX_SAFE_INTEGER),
    maxAgeMs: optionalMs('maxAgeMs', options.maxAgeMs),
    maxRssBytes: checkMaxRss(options.maxRssBytes),
    closeTimeoutMs: integer('closeTimeoutMs', options.closeTimeoutMs ?? 5000, 1, MAX_DELAY_MS),
  };
}

/** A framing of the caller's own, or a length prefix. */
function checkFramingOptions(
  what: string,
  { framing }: Options,
  format: FrameFormat,
): { readonly framing: Framing; readonly maxMessageBytes: number } {
  if (framing === undefined) {
    const { maxMessageBytes } = prefixOf(what, format);
    const prefixed = { parser: () => new FrameParser(format), writer: () => new FrameWriter(format) };
    return { framing: prefixed, maxMessageBytes };
  }
  const [given] = Object.keys(format);
  if (given === undefined) return { framing: checkFraming(framing), maxMessageBytes: Infinity };
  throw new TypeError(`expected \`framing\` without the options of a length prefix, got \`${given}\` beside it`);
}

function checkProtocol({ protocol, encode, decode }: Options): Options['protocol'] {
  if (protocol === undefined) return undefined;
  const { encode: says, receive, cancel, ids } = protocol as Partial<Protocol<unknown, unknown, unknown>>;
  if (typeof says !== 'function' || typeof receive !== 'function') {
    throw new TypeError(`expected \`protocol\` to have the methods encode() and receive(), got ${shown(protocol)}`);
  }
  hook('protocol.cancel', cancel);
  if (ids !== undefined) boolean('protocol.ids', ids);
  if (encode === undefined && decode === undefined) return protocol;
  const name = encode === undefined ? 'decode' : 'encode';
  throw new TypeError(`expected \`protocol\` without \`encode\` and \`decode\`, got \`${name}\` beside it`);
}

function checkRestart(
  options: Pick<PortOptions, 'backoff' | 'restart' | 'maxRestarts' | 'withinMs' | 'minUptimeMs'>,
): RestartOptions {
  const { backoff = {} } = options;
  refuseUnknown('backoff', backoff, ['minMs', 'maxMs']);
  const mostMs = integer('backoff.maxMs', backoff.maxMs ?? MAX_DELAY_MS, 0, MAX_DELAY_MS);
  const minMs = integer('backoff.minMs', backoff.minMs ?? Math.min(100, mostMs), 0, MAX_DELAY_MS);
  return {
    restart: oneOf('restart', options.restart ?? 'permanent', ['permanent', 'transient', 'temporary'] as const),
    maxRestarts: integer('maxRestarts', options.maxRestarts ?? 5, 0, Number.MAX_SAFE_INTEGER),
    withinMs: integer('withinMs', options.withinMs ?? 30_000, 1, MAX_DELAY_MS),
    backoff: { minMs, maxMs: integer('backoff.maxMs', backoff.maxMs ?? Math.max(minMs, 30_000), minMs, MAX_DELAY_MS) },
    minUptimeMs: integer('minUptimeMs', options.minUptimeMs ?? 1000, 0, MAX_DELAY_MS),
  };
}

function checkMaxRss(maxRssBytes: number | undefined): number | undefined {
  if (maxRssBytes === undefined) return undefined;
  integer('maxRssBytes', maxRssBytes, 1, Number.MAX_SAFE_INTEGER);
  if (residentBytes(process.pid) !== undefined) return maxRssBytes;
  throw new RangeError(`expected \`maxRssBytes\` only on Linux with /proc, got ${maxRssBytes} on ${process.platform}`);
}

function optionalMs(name: string, value: number | undefined): number | undefined {
  return value === undefined ? undefined : integer(name, value, 1, MAX_DELAY_MS);
}

function hook<T>(name: string, value: T): T {
  if (value === undefined || typeof value === 'function') return value;
  throw new TypeError(`expected \`${name}\` to be a function, got ${shown(value)}`);
}

function pick(options: object, keys: readonly string[]): object {
  return Object.fromEntries(Object.entries(options).filter(([key]) => keys.includes(key)));
}

/** Variables on the prototype count, as for `spawn`. */
function copyOf(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const copy: NodeJS.ProcessEnv = {};
  for (const name in env) copy[name] = env[name];
  return copy;
}
