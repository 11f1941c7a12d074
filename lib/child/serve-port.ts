/** The other end of the pipe: what runs inside a port program that is written for Node. */
import type { Readable, Writable } from 'node:stream';
import { onAbort } from '../abort';
import type { ContentLengthOptions } from '../framing/content-length';
import { FRAME_FORMAT_KEYS, type FrameFormat } from '../framing/format';
import { checkFraming, type Framing, type Message } from '../framing/framing';
import { lengthPrefix } from '../framing/length-prefix';
import type { LinesOptions } from '../framing/lines';
import { boolean, integer, oneOf, optionsOf, shown } from '../options';
import { leaveAfter, leaveWithError, openChannel, takeStdout, watchParent } from './own-stdio';
import {
  PortServer,
  endStreams,
  type MessageContext,
  type MessageHandler,
  type ServerSettings,
  type UnorderedMessageHandler,
} from './port-server';

export type { ContentLengthOptions, Framing, LinesOptions, MessageContext, MessageHandler, UnorderedMessageHandler };

/** What `servePort(handler, options)` takes. All have a default. */
export interface ServePortOptions extends FrameFormat {
  /** How messages lie in the bytes: `lines()`, `contentLength()`, one of your own. Default: a length prefix. */
  readonly framing?: Framing | undefined;
  /** Where messages come from; together with `output`. Destroyed in the end. Default: this process's stdin. */
  readonly input?: Readable | undefined;
  /** Where replies go; ended after the last one. Default: this process's stdout. */
  readonly output?: Writable | undefined;
  /**
   * `'fd3'`: messages come on descriptor 3 and replies leave on 4, as with Erlang's `nouse_stdio`, so that nothing that is
   * printed can get between them; stdin and stdout stay as they are. The host must open both. Default `'stdio'`.
   */
  readonly channel?: 'stdio' | 'fd3' | undefined;
  /** How many messages are with the handler at a time. Default 1. */
  readonly concurrency?: number | undefined;
  /**
   * Answers a message that the handler failed on, or whose reply was none or too large. Without it, or if it throws,
   * the failure ends the serving.
   */
  readonly onError?: ((error: unknown, message: Buffer) => Message | PromiseLike<Message>) | undefined;
  /** Stops: no more messages are taken, those that the handler has are answered, then the promise resolves. */
  readonly signal?: AbortSignal | undefined;
  /**
   * How many milliseconds this process may stay after its input has ended and the last reply is sent; then it is ended,
   * whatever keeps it (a timer, a socket, a server). Infinity: while something keeps it. Not together with streams
   * of your own. Default 5000.
   */
  readonly exitGraceMs?: number | undefined;
  /**
   * Whether each message has one reply, in the order of the messages. `false` is for protocols whose replies say what
   * they answer, as by an id: a reply then leaves when it is made, may be `undefined` for none, and the handler may send
   * more. Default true.
   */
  readonly ordered?: boolean | undefined;
}

/** The same for a handler whose replies leave as they are made. */
export interface UnorderedServePortOptions extends Omit<ServePortOptions, 'onError' | 'ordered'> {
  /** See ServePortOptions. */
  readonly ordered: false;
  /** As with `ordered`; it may return `undefined` for no reply. */
  readonly onError?:
    ((error: unknown, message: Buffer) => Message | undefined | PromiseLike<Message | undefined>) | undefined;
}

const OWN_KEYS = [
  'input',
  'output',
  'concurrency',
  'onError',
  'signal',
  'exitGraceMs',
  'framing',
  'ordered',
  'channel',
] as const;
const DEFAULT_EXIT_GRACE_MS = 5000;
/** The longest delay that a timer takes. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/**
 * Answers each message from stdin with what `handler` makes of it, on stdout, in order, until the input ends.
 *
 * A message is the handler's own; it may be a view on a larger chunk. A reply must not be changed once it is returned.
 * While replies wait for a slow host no more messages are taken, so memory stays bounded both ways.
 *
 * From the call on, what is printed to stdout (`console`, `process.stdout.write`, a pipe) goes to stderr, for good: it
 * would be read as a frame. What was printed before the call, or goes past the stream (`fs.writeSync(1)`, a child process
 * that inherits stdout), cannot be caught.
 *
 * With `ordered: false` replies leave as they are made, and the handler's second argument has `send(message)` for what is
 * no reply: progress, notifications.
 *
 * Without `onError` a throw of the handler is written to stderr and ends this process with code 1, after the replies to
 * the messages before it. With streams of your own the promise rejects with it instead.
 * The same holds for an input that is no frames, or ends inside one.
 *
 * The process ends with its host: by itself at the end of its input, when nothing else keeps it; by force `exitGraceMs`
 * after the last reply to an input that has ended, and within a second when its parent is gone as well. Until the promise
 * settles it keeps this process, with streams of your own too.
 *
 * @returns resolves after the end of the input and the last reply, or when nobody takes replies any more
 * @throws TypeError or RangeError for a wrong argument or option; Error when stdin and stdout are served already
 */
// First, so that the parameters of a handler that is written in the call have their types.
export function servePort(handler: UnorderedMessageHandler, options: UnorderedServePortOptions): Promise<void>;
export function servePort(handler: MessageHandler, options?: ServePortOptions): Promise<void>;
export function servePort(
  handler: UnorderedMessageHandler,
  options: ServePortOptions | UnorderedServePortOptions = {},
): Promise<void> {
  const { settings, input, output, signal, exitGraceMs, channel } = check(handler, options);
  if (input !== undefined && output !== undefined) {
    const server = new PortServer(settings, input, { output, write: output.write.bind(output) });
    // Neither a stream of the user's nor what a handler waits for need keep this process; the promise does.
    const keepAlive = setInterval(() => undefined, MAX_DELAY_MS);
    return serve(server, signal)
      .finally(() => endStreams(input, output))
      .finally(() => clearInterval(keepAlive));
  }
  const own = channel === 'fd3' ? openChannel() : { input: process.stdin, outlet: takeStdout() };
  const source: Readable & { unref?(): unknown } = own.input;
  const server = new PortServer(settings, source, own.outlet);
  const watch = watchParent(server);
  return serve(server, signal).then(
    () => {
      // Paused, it still reads ahead, and so keeps this process; a file has nothing to be unref'ed.
      source.unref?.();
      // It goes on watching, for whatever else may keep this process.
      watch.unref();
      // Stopped by a signal, it may have other things to do.
      if (server.hasHost === false && exitGraceMs !== Infinity) leaveAfter(exitGraceMs);
    },
    (error: unknown) => new Promise(() => leaveWithError(error)),
  );
}

async function serve(server: PortServer, signal: AbortSignal | undefined): Promise<void> {
  const stopListening = signal === undefined ? undefined : onAbort(signal, () => server.stop());
  if (signal?.aborted === true) server.stop();
  await server.done.finally(stopListening);
}

interface Checked {
  readonly settings: ServerSettings;
  readonly input: Readable | undefined;
  readonly output: Writable | undefined;
  readonly signal: AbortSignal | undefined;
  readonly exitGraceMs: number;
  readonly channel: 'stdio' | 'fd3';
}

function check(handler: UnorderedMessageHandler, options: ServePortOptions | UnorderedServePortOptions): Checked {
  if (typeof handler !== 'function')
    throw new TypeError(`expected the handler to be a function, got ${shown(handler)}`);
  const known = optionsOf('servePort', options, [...OWN_KEYS, ...FRAME_FORMAT_KEYS]);
  const { input, output, concurrency = 1, onError, signal, exitGraceMs, framing, ordered, channel, ...format } = known;
  if ((input === undefined) !== (output === undefined)) {
    throw new TypeError(
      `expected \`input\` and \`output\` together, got only \`${input === undefined ? 'output' : 'input'}\``,
    );
  }
  if (input !== undefined && typeof (input as Partial<Readable>).resume !== 'function') {
    throw new TypeError(`expected \`input\` to be a readable stream, got ${shown(input)}`);
  }
  if (output !== undefined && typeof (output as Partial<Writable>).write !== 'function') {
    throw new TypeError(`expected \`output\` to be a writable stream, got ${shown(output)}`);
  }
  if (onError !== undefined && typeof onError !== 'function') {
    throw new TypeError(`expected \`onError\` to be a function, got ${shown(onError)}`);
  }
  if (signal !== undefined && typeof (signal as Partial<AbortSignal>).addEventListener !== 'function') {
    throw new TypeError(`expected \`signal\` to be an AbortSignal, got ${shown(signal)}`);
  }
  if (exitGraceMs !== undefined && input !== undefined) {
    throw new TypeError('expected `exitGraceMs` only without `input` and `output`, got both');
  }
  if (channel !== undefined && input !== undefined) {
    throw new TypeError('expected `channel` only without `input` and `output`, got both');
  }
  return {
    settings: {
      handler,
      onError,
      concurrency: integer('concurrency', concurrency, 1, Number.MAX_SAFE_INTEGER),
      ordered: boolean('ordered', ordered ?? true),
      framing: framingOf(framing, format),
    },
    input,
    output,
    signal,
    exitGraceMs:
      exitGraceMs === Infinity
        ? exitGraceMs
        : integer('exitGraceMs', exitGraceMs ?? DEFAULT_EXIT_GRACE_MS, 0, MAX_DELAY_MS),
    channel: oneOf('channel', channel ?? 'stdio', ['stdio', 'fd3'] as const),
  };
}

function framingOf(framing: Framing | undefined, format: FrameFormat): Framing {
  if (framing === undefined) return lengthPrefix(format);
  const [given] = Object.keys(format);
  if (given === undefined) return checkFraming(framing);
  throw new TypeError(`expected \`framing\` without the options of a length prefix, got \`${given}\` beside it`);
}

/* eslint-disable @typescript-eslint/no-require-imports -- loaded when they are called: most children never need them */

/** `lines()` of the package, for programs that load nothing else of it. */
export function lines(options?: LinesOptions): Framing {
  return (require('../framing/lines') as typeof import('../framing/lines')).lines(options);
}

/** `contentLength()` of the package, for programs that load nothing else of it. */
export function contentLength(options?: ContentLengthOptions): Framing {
  return (require('../framing/content-length') as typeof import('../framing/content-length')).contentLength(options);
}
