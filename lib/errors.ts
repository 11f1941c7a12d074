/** Every error that RexPort raises. Constructors take facts and write the sentence, with every number that matters. */

/** How much of the child's last words a message repeats; the whole tail is in `stderrTail`. */
const TAIL_IN_MESSAGE_CHARACTERS = 2000;
const COMMAND_IN_MESSAGE_CHARACTERS = 200;

/** The base of all: match on `code`, which stays the same across versions, or on the class. */
export class RexPortError extends Error {
  readonly code: string;

  constructor(code: `ERR_REXPORT_${string}`, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  override get name(): string {
    return this.constructor.name;
  }
}

/** A name as it reads in a sentence: it may be as long as the caller likes. */
export function shortened(command: string): string {
  if (command.length <= COMMAND_IN_MESSAGE_CHARACTERS) return command;
  return `${command.slice(0, COMMAND_IN_MESSAGE_CHARACTERS)}...`;
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
  readonly command: string;
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
  /** What went wrong besides. */
  readonly cause?: unknown;
}

/** The child ended with a status that is no success: a code outside `successCodes`, or a signal. `ERR_REXPORT_EXIT` */
export class ExitError extends RexPortError {
  readonly command: string;
  /** null when a signal ended the child. */
  readonly exitCode: number | null;
  /** null when the child exited by itself. */
  readonly signal: NodeJS.Signals | null;
  /** Milliseconds from the spawn to the exit. */
  readonly durationMs: number;
  readonly #stderrTail: string;

  constructor({ command, exitCode, signal, durationMs, reason, stderrTail, cause }: ExitFacts) {
    const byItself = signal === null ? `exited with code ${exitCode}` : `was ended by ${signal}`;
    const end = reason === undefined ? byItself : `was ended (${reason})`;
    const said = lastLines(stderrTail);
    const sentence = `${shortened(command)} ${end} after ${Math.round(durationMs)} ms`;
    super('ERR_REXPORT_EXIT', said === '' ? sentence : `${sentence}; its stderr:\n${said}`, withCause(cause));
    this.command = command;
    this.exitCode = exitCode;
    this.signal = signal;
    this.durationMs = durationMs;
    this.#stderrTail = stderrTail;
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
 * What it was that took too long. A stream's child: `run`. A request: for a free child in the `queue`, for the child to
 * take it (`write`), for the `header` of its reply, for the `body`.
 */
export type TimeoutPhase = 'run' | 'queue' | 'write' | 'header' | 'body';

export interface TimeoutFacts {
  readonly command: string;
  readonly timeoutMs: number;
  readonly phase: TimeoutPhase;
}

/** `timeoutMs` went by. `ERR_REXPORT_TIMEOUT` */
export class TimeoutError extends RexPortError {
  readonly timeoutMs: number;
  readonly phase: TimeoutPhase;

  constructor({ command, timeoutMs, phase }: TimeoutFacts) {
    super('ERR_REXPORT_TIMEOUT', `${shortened(command)} ${lateness(phase, `${timeoutMs} ms`)}`);
    this.timeoutMs = timeoutMs;
    this.phase = phase;
  }
}

function lateness(phase: TimeoutPhase, time: string): string {
  switch (phase) {
    case 'run':
      return `was still running ${time} after its spawn`;
    case 'queue':
      return `had no child free for the request within ${time}`;
    case 'write':
      return `had not taken the whole request after ${time}`;
    case 'header':
      return `gave no reply in ${time}; if the program uses stdio buffering, flush after each message`;
    case 'body':
      return `had not finished its reply after ${time}`;
  }
}

/** The child closed its input before all was written, under `onInputClosed: 'error'`. `ERR_REXPORT_INPUT_CLOSED` */
export class InputClosedError extends RexPortError {
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
  readonly code = 'ABORT_ERR';

  constructor(signal: AbortSignal) {
    super('The operation was aborted', { cause: signal.reason });
  }

  override get name(): string {
    return 'AbortError';
  }
}
