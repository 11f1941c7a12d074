/** The stdin and stdout of this process, as servePort takes them over. */
import { createReadStream, createWriteStream, fstatSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { inspect } from 'node:util';
import type { Outlet } from './outgoing';
import type { PortServer } from './port-server';

const WATCH_MS = 150;
/** More than a pipe holds: behind so much there is a writer who is alive. */
const MAX_AHEAD_CHUNKS = 64;

/** Marks a stdout that is taken, also for another copy of this package. */
const TAKEN = Symbol.for('rexport.stdout-is-taken');

/**
 * Leaves stdout to the frames: what anybody else writes to the stream, or pipes into it, goes to stderr from now on.
 * @returns what frames are written to
 * @throws Error when it is taken already
 */
export function takeStdout(): Outlet {
  const { stdout, stderr } = process;
  if (TAKEN in stdout) throw new Error('expected one servePort on the stdin and stdout of this process, got a second');
  const write = stdout.write.bind(stdout);
  let isDrainDue = false;
  const print = ((...args: Parameters<typeof write>) => {
    const hasRoom = stderr.write(...args);
    if (!hasRoom && !isDrainDue) {
      isDrainDue = true;
      stderr.once('drain', () => {
        isDrainDue = false;
        stdout.emit('drain');
      });
    }
    return hasRoom;
  }) as typeof write;
  // A pipeline ends its sink, and frames still need it; these events are all that it waits for.
  const end = (...args: unknown[]): typeof stdout => {
    const [chunk] = args;
    if (typeof chunk === 'string' || ArrayBuffer.isView(chunk)) print(chunk as Uint8Array);
    process.nextTick(() => {
      stdout.emit('finish');
      stdout.emit('close');
      for (const arg of args) if (typeof arg === 'function') (arg as () => void)();
    });
    return stdout;
  };
  Object.assign(stdout, { write: print, end, [TAKEN]: true });
  return { output: stdout, write };
}

/** Where messages come from and where replies go with `channel: 'fd3'`. */
const MESSAGES_FD = 3;
const REPLIES_FD = 4;

/**
 * The descriptors that a host opens for messages, so that stdout is left to prints.
 * @throws Error where they are not open, or taken already
 */
export function openChannel(): { readonly input: Readable; readonly outlet: Outlet } {
  if (TAKEN in process) throw new Error('expected one servePort on descriptors 3 and 4 of this process, got a second');
  const [input, output] = [isStream(MESSAGES_FD), isStream(REPLIES_FD)];
  Object.assign(process, { [TAKEN]: true });
  const source = input ? socket(MESSAGES_FD, 'readable') : createReadStream('', { fd: MESSAGES_FD });
  const sink = output ? socket(REPLIES_FD, 'writable') : createWriteStream('', { fd: REPLIES_FD });
  return { input: source, outlet: { output: sink, write: sink.write.bind(sink) } };
}

/**
 * Whether the host opened it as a pipe or a socket; else it is a file, or a device.
 * @throws Error where the host did not open it
 */
function isStream(fd: number): boolean {
  let cause: unknown;
  try {
    // not as numbers: the last of those misleads Node's search for modules behind links, where it was a pipe
    const stats = fstatSync(fd, { bigint: true });
    if (stats.isFIFO() || stats.isSocket()) return true;
    // One that the host has left closed is used by Node itself, for what is none of these.
    if (stats.isFile() || stats.isCharacterDevice()) return false;
  } catch (error) {
    cause = error;
  }
  throw new Error(
    `expected descriptor ${fd} to be open: the host starts this program with \`channel: 'fd3'\`, or opens 3 and 4`,
    { cause },
  );
}

/** Loaded here, since most children never need it. */
function socket(fd: number, side: 'readable' | 'writable'): Readable & Writable {
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  const { Socket } = require('node:net') as typeof import('node:net');
  return new Socket({ fd, readable: side === 'readable', writable: side === 'writable' });
}

/**
 * Ends this process when nobody is there any more: its input has ended and its parent is gone. A host that was killed
 * leaves a handler that hangs, or whatever keeps the process after the last reply, to nobody.
 * @returns keeps this process until it is unref'ed, as a handler that waits for something unref'ed would not
 */
export function watchParent(server: PortServer): NodeJS.Timeout {
  const parent = process.ppid;
  let isNoticed = false;
  return setInterval(() => {
    if (process.ppid === parent) return;
    // While messages wait, the end of the input behind them is not seen.
    server.readAhead(MAX_AHEAD_CHUNKS);
    if (!server.hasInputEnded) return;
    // What is nearly done is given a moment.
    if (isNoticed) leaveWithError('rexport: the host is gone');
    isNoticed = true;
  }, WATCH_MS);
}

/**
 * Ends this process a while after its last reply, with the exit code that it has, where it has not ended by itself. A
 * host that waits for the end would wait while a timer, a socket or a server keeps this process.
 */
export function leaveAfter(graceMs: number): void {
  setTimeout(() => {
    // Unlike for an error there is nothing that must be read.
    process.stderr.write(
      `rexport: this process leaves ${graceMs} ms (\`exitGraceMs\`) after its last reply, though something keeps it\n`,
    );
    process.exit();
  }, graceMs).unref();
}

/** Writes the error to stderr and ends this process with code 1. */
export function leaveWithError(error: unknown): void {
  const leave = (): void => process.exit(1);
  const { stderr } = process;
  stderr.once('error', leave);
  stderr.write(`${typeof error === 'string' ? error : inspect(error)}\n`, leave);
}
