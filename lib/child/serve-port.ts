/** The other end of the pipe: what runs inside a port program that is written for Node. */
import type { Readable, Writable } from 'node:stream';
import { onAbort } from '../abort';
import { FRAME_FORMAT_KEYS, type FrameFormat, lengthPrefix } from '../framing/format';
import type { Message } from '../framing/frame-writer';
import { integer, optionsOf, shown } from '../options';
import { leaveAfter, leaveWithError, takeStdout, watchParent } from './own-stdio';
import { PortServer, endStreams, type MessageHandler, type ServerSettings } from './port-server';

export type { MessageHandler };

export interface ServePortOptions extends FrameFormat {
  /** Where messages come from; together with `output`. Destroyed in the end. Default: this process's stdin. */
  readonly input?: Readable | undefined;
  /** Where replies go; ended after the last one. Default: this process's stdout. */
  readonly output?: Writable | undefined;
  /** How many messages are with the handler at a time. Replies keep the order of the messages. Default 1. */
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
   * whatever keeps it (a timer, a socket, a server). Infinity: as long as something keeps it. Not together with streams
   * of your own. Default 5000.
   */
  readonly exitGraceMs?: number | undefined;
}

const OWN_KEYS = ['input', 'output', 'concurrency', 'onError', 'signal', 'exitGraceMs'] as const;
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
export function servePort(handler: MessageHandler, options: ServePortOptions = {}): Promise<void> {
  const { settings, input, output, signal, exitGraceMs } = check(handler, options);
  if (input !== undefined && output !== undefined) {
    const server = new PortServer(settings, input, { output, write: output.write.bind(output) });
    // Neither a stream of the user's nor what a handler waits for need keep this process; the promise does.
    const keepAlive = setInterval(() => undefined, MAX_DELAY_MS);
    return serve(server, signal)
      .finally(() => endStreams(input, output))
      .finally(() => clearInterval(keepAlive));
  }
  const stdin: Readable & { unref?(): unknown } = process.stdin;
  const server = new PortServer(settings, stdin, takeStdout());
  const watch = watchParent(server);
  return serve(server, signal).then(
    () => {
      // Paused, it still reads ahead, and so keeps this process; a file has nothing to be unref'ed.
      stdin.unref?.();
      // It goes on watching, for whatever else may keep this process.
      watch.unref();
      // Stopped by a signal, it may have other things to do.
      if (!server.hasHost && exitGraceMs !== Infinity) leaveAfter(exitGraceMs);
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
}

function check(handler: MessageHandler, options: ServePortOptions): Checked {
  if (typeof handler !== 'function')
    throw new TypeError(`expected the handler to be a function, got ${shown(handler)}`);
  const known = optionsOf('servePort', options, [...OWN_KEYS, ...FRAME_FORMAT_KEYS]);
  const { input, output, concurrency = 1, onError, signal, exitGraceMs, ...format } = known;
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
  return {
    settings: {
      handler,
      onError,
      concurrency: integer('concurrency', concurrency, 1, Number.MAX_SAFE_INTEGER),
      format,
      maxMessageBytes: lengthPrefix('servePort', format).maxMessageBytes,
    },
    input,
    output,
    signal,
    exitGraceMs:
      exitGraceMs === Infinity
        ? exitGraceMs
        : integer('exitGraceMs', exitGraceMs ?? DEFAULT_EXIT_GRACE_MS, 0, MAX_DELAY_MS),
  };
}
