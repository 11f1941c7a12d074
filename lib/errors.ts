/** Every error that RexPort raises. Constructors take facts and write the sentence, with every number that matters. */

/** How much of the child's last words a message repeats; the whole tail is in `stderrTail`. */
const TAIL_IN_MESSAGE_CHARACTERS = 2000;
const COMMAND_IN_MESSAGE_CHARACTERS = 200;
/** How much of an unexpected text a sentence repeats, and of bytes that are no text. */
const TEXT_IN_MESSAGE_CHARACTERS = 32;
const BYTES_IN_MESSAGE = 12;
/** Fewer printable bytes than this say nothing: binary data has them too. */
const FEWEST_TELLING_CHARACTERS = 3;

/**
 * The base of all: match on `code`, which stays the same across versions, or on the class. Each class has its code as a
 * literal type, so `switch (error.code)` narrows a union of them.
 */
export class RexPortError extends Error {
  /** Names the kind of failure; the same in all versions. */
  readonly code: `ERR_REXPORT_${string}`;

  constructor(code: `ERR_REXPORT_${string}`, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  override get name(): string {
    return this.constructor.name;
  }
}

/** A name as it reads in a sentence: the caller may make it any length. */
export function shortened(command: string): string {
  if (command.length <= COMMAND_IN_MESSAGE_CHARACTERS) return command;
  return `${command.slice(0, COMMAND_IN_MESSAGE_CHARACTERS)}...`;
}

/** The printable text that `bytes` begin with, at most 32 characters; undefined where it is too short to tell anything. */
export function leadingText(bytes: Uint8Array): string | undefined {
  const begin = Buffer.from(bytes.subarray(0, TEXT_IN_MESSAGE_CHARACTERS)).toString('latin1');
  const text = /^[\t\n\r -~]*/.exec(begin)?.[0] ?? '';
  return text.length < FEWEST_TELLING_CHARACTERS ? undefined : text;
}

function withCause(cause: unknown): ErrorOptions | undefined {
  return cause === undefined ? undefined : { cause };
}

export interface SpawnFacts {
  readonly command: string;
  /** The directory the program was to run in; undefined where none was asked for. */
  readonly cwd: string | undefined;
  /** What is to blame, as the end of a sentence that begins with "could not spawn X:". */
  readonly culprit: string;
  /** The operating system's error, with its `code` (`ENOENT`, `EACCES`, `E2BIG`, `EMFILE`). */
  readonly cause: unknown;
}

/** The program was never started. `ERR_REXPORT_SPAWN` */
export class SpawnError extends RexPortError {
  declare readonly code: 'ERR_REXPORT_SPAWN';
  /** The command as it was given; never its arguments, which may hold secrets. */
  readonly command: string;
  /** The directory that the program was to run in; undefined where none was asked for. */
  readonly cwd: string | undefined;

  constructor({ command, cwd, culprit, cause }: SpawnFacts) {
    super('ERR_REXPORT_SPAWN', `could not spawn ${shortened(command)}: ${culprit}`, { cause });
    this.command = command;
    this.cwd = cwd;
  }
}

export interface ExitFacts {
  readonly command: string;
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly durationMs: number;
  /** Why our side ended it; its code and its signal are then null. */
  readonly reason?: string | undefined;
  /** The last of what the child wrote on stderr; empty where that was not piped. */
  readonly stderrTail: string;
  /** How many requests the child still had to answer before this one. Default 0. */
  readonly behind?: number | undefined;
  /** What else went wrong. */
  readonly cause?: unknown;
}

/** The child ended with a status that is no success: a code outside `successCodes`, or a signal. `ERR_REXPORT_EXIT` */
export class ExitError extends RexPortError {
  declare readonly code: 'ERR_REXPORT_EXIT';
  /** The command as it was given; never its arguments, which may hold secrets. */
  readonly command: string;
  /** null when a signal ended the child. */
  readonly exitCode: number | null;
  /** null when the child exited by itself. */
  readonly signal: NodeJS.Signals | null;
  /** Milliseconds from the spawn to the exit. */
  readonly durationMs: number;
  /**
   * Of a request: how many requests the child still had to answer before this one. With 0 the child most likely died of
   * this request; with more it may be innocent. 0 of a stream.
   */
  readonly behind: number;
  readonly #stderrTail: string;
  readonly #reason: string | undefined;

  constructor({ command, exitCode, signal, durationMs, reason, stderrTail, behind = 0, cause }: ExitFacts) {
    const byItself = signal === null ? `exited with code ${exitCode}` : `was ended by ${signal}`;
    const end = reason === undefined ? byItself : `was ended (${reason})`;
    const said = lastLines(stderrTail);
    const before = behind === 1 ? '1 request' : `${behind} requests`;
    const place = behind === 0 ? '' : `; this request stood behind ${before} and may be innocent`;
    const sentence = `${shortened(command)} ${end} after ${Math.round(durationMs)} ms${place}`;
    super('ERR_REXPORT_EXIT', said === '' ? sentence : `${sentence}; its stderr:\n${said}`, withCause(cause));
    this.command = command;
    this.exitCode = exitCode;
    this.signal = signal;
    this.durationMs = durationMs;
    this.behind = behind;
    this.#stderrTail = stderrTail;
    this.#reason = reason;
  }

  /** @internal The same end, as a request sees it that stood behind others. */
  asSeenFrom(behind: number): ExitError {
    const { command, exitCode, signal, durationMs, cause } = this;
    const [reason, stderrTail] = [this.#reason, this.#stderrTail];
    return new ExitError({ command, exitCode, signal, durationMs, reason, stderrTail, cause, behind });
  }

  /** The last of what the child wrote on stderr, at most `stderrTailBytes`. A getter, so that a log shows it once. */
  get stderrTail(): string {
    return this.#stderrTail;
  }
}

function lastLines(tail: string): string {
  const text = tail.trimEnd();
  if (text.length <= TAIL_IN_MESSAGE_CHARACTERS) return text;
  // One character more: the border may lie right before the rest.
  const cut = text.slice(-TAIL_IN_MESSAGE_CHARACTERS - 1);
  return `[...] ${cut.slice(Math.max(cut.indexOf('\n'), 0) + 1)}`;
}

/**
 * What it was that took too long. A stream's child: `run`. A request: for a free child in the `queue`; for a child that
 * has never answered to `start`; for the child to take the request (`write`); for the `header` of its reply, or its
 * `body`; for the `reply` where replies come in any order, and so no header can be told to be this request's.
 */
export type TimeoutPhase = 'queue' | 'start' | 'write' | 'header' | 'body' | 'reply' | 'run';

/** Which limit it was: `timeoutMs` stands for `requestTimeoutMs` too. */
export type TimeoutLimit = 'timeoutMs' | 'runTimeoutMs' | 'startTimeoutMs';

export interface TimeoutFacts {
  readonly command: string;
  /** The limit's value, in milliseconds. */
  readonly timeoutMs: number;
  readonly phase: TimeoutPhase;
  /** Default `'timeoutMs'`. */
  readonly limit?: TimeoutLimit | undefined;
  /** Milliseconds from the child's spawn; told in the phase `start`. */
  readonly childAgeMs?: number | undefined;
  /** How many bytes of the reply have come; told in the phase `body`, together with the next. */
  readonly receivedBytes?: number | undefined;
  /** How many bytes the reply's prefix announces. */
  readonly expectedBytes?: number | undefined;
  /** What the reply's frame began with, prefix first. */
  readonly firstBytes?: Uint8Array | undefined;
}

/** A limit of time was over: of a stream, or of a request. `ERR_REXPORT_TIMEOUT` */
export class TimeoutError extends RexPortError {
  declare readonly code: 'ERR_REXPORT_TIMEOUT';
  /** The limit's value, in milliseconds. */
  readonly timeoutMs: number;
  /** What it was that took too long. */
  readonly phase: TimeoutPhase;
  /** Which limit was over. */
  readonly limit: TimeoutLimit;
  /** How many bytes of the reply had come, in the phase `body` where that is known. */
  readonly receivedBytes: number | undefined;
  /** How many bytes the reply's prefix announced, in the phase `body` where that is known. */
  readonly expectedBytes: number | undefined;

  constructor(facts: TimeoutFacts) {
    const { command, timeoutMs, phase, limit = 'timeoutMs', receivedBytes, expectedBytes } = facts;
    super('ERR_REXPORT_TIMEOUT', `${shortened(command)} ${lateness(facts)}`);
    this.timeoutMs = timeoutMs;
    this.phase = phase;
    this.limit = limit;
    this.receivedBytes = receivedBytes;
    this.expectedBytes = expectedBytes;
  }
}

function lateness({ timeoutMs, phase, limit = 'timeoutMs', childAgeMs, ...partial }: TimeoutFacts): string {
  const time = limit === 'timeoutMs' ? `${timeoutMs} ms` : `${timeoutMs} ms (\`${limit}\`)`;
  switch (phase) {
    case 'run':
      return `was still running ${time} after its spawn`;
    case 'queue':
      return `had no child free for the request within ${time}`;
    case 'start': {
      const age = childAgeMs === undefined ? '' : `: it is ${Math.round(childAgeMs)} ms old and has never answered`;
      return `had not started to answer after ${time}${age}`;
    }
    case 'write':
      return `had not taken the whole request after ${time}`;
    case 'header':
      return `gave no reply in ${time}; if the program uses stdio buffering, flush after each message`;
    case 'body':
      return `had not finished its reply after ${time}${progress(partial)}`;
    case 'reply':
      return `gave no reply to the request in ${time}`;
  }
}

/** A program that prints to stdout where frames are expected announces, to us, a reply that never comes whole. */
function progress({
  receivedBytes,
  expectedBytes,
  firstBytes,
}: Pick<TimeoutFacts, 'receivedBytes' | 'expectedBytes' | 'firstBytes'>): string {
  if (receivedBytes === undefined || expectedBytes === undefined) return '';
  const come = `: ${receivedBytes} of ${expectedBytes} bytes have come`;
  if (firstBytes === undefined || firstBytes.length === 0) return come;
  const text = leadingText(firstBytes);
  if (text !== undefined) return `${come}, beginning ${JSON.stringify(text)}; did the program print to stdout?`;
  const bytes = Array.from(firstBytes.subarray(0, BYTES_IN_MESSAGE), (byte) => byte.toString(16).padStart(2, '0'));
  return `${come}, beginning ${bytes.join(' ')}; did the program print to stdout?`;
}

/** The child closed its input before all was written, under `onInputClosed: 'error'`. `ERR_REXPORT_INPUT_CLOSED` */
export class InputClosedError extends RexPortError {
  declare readonly code: 'ERR_REXPORT_INPUT_CLOSED';
  /** The command as it was given; never its arguments, which may hold secrets. */
  readonly command: string;
  /** Bytes of the chunks that were not taken whole. */
  readonly bytesDropped: number;

  constructor({ command, bytesDropped }: { readonly command: string; readonly bytesDropped: number }) {
    const sentence = `${shortened(command)} closed its input before all was written: ${bytesDropped} bytes were not taken`;
    super('ERR_REXPORT_INPUT_CLOSED', sentence);
    this.command = command;
    this.bytesDropped = bytesDropped;
  }
}

/** An AbortSignal fired; `cause` is `signal.reason`. The name and the code are Node's own (`ABORT_ERR`). */
export class AbortError extends Error {
  /** Node's own code, so that one check does for its errors and ours. */
  readonly code = 'ABORT_ERR';

  constructor(signal: AbortSignal) {
    super('The operation was aborted', { cause: signal.reason });
  }

  override get name(): string {
    return 'AbortError';
  }
}
