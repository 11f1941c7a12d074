/** Our side of a child's stdio over anonymous pipes: the streams that a ChildProcess would have made of its sockets. */
import { closeSync, constants, fchownSync, openSync } from 'node:fs';
import { Socket, type SocketConstructorOpts } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import type { ChildSpec } from './child-spec';
import { pipeSource, type Pipe, type PipeSource } from './pipes';

const NAMES = ['stdin', 'stdout', 'stderr'] as const;
type Name = (typeof NAMES)[number];
type StdioSpec = Pick<ChildSpec, Name>;

/** The pipes that a child is to be given; their owner spawns over them or closes them. */
export type StdioPipes = Readonly<Partial<Record<Name, Pipe>>>;

/**
 * Pipes for all that is `'pipe'` in the spec.
 * @param done called once, now or later, with the pipes or with a sentence that says why there are none
 */
export function takeStdioPipes(
  spec: StdioSpec,
  done: (result: StdioPipes | string) => void,
  source: PipeSource = pipeSource,
): void {
  const names = NAMES.filter((name) => spec[name] === 'pipe');
  const ends = names.map((name) => (name === 'stdin' ? 'reads' : 'writes'));
  source.take(ends, (result) => {
    if (typeof result === 'string') done(result);
    else done(Object.fromEntries(names.map((name, index) => [name, result[index]])));
  });
}

export function closeStdioPipes(pipes: StdioPipes): void {
  for (const { ours, theirs } of Object.values(pipes)) {
    closeSync(ours);
    closeSync(theirs);
  }
}

/** Two more ends of a child's stdin, for another child that writes there in our place. */
export interface FurtherEnds {
  /** Blocking, for the other child. Who takes it closes it. */
  readonly theirs: number;
  readonly kept: KeptEnd;
}

/**
 * An end to read of a pipe between two children. While it is open, the one that writes does not notice that the other has
 * left. Nothing is read from it before `readOn`, since the bytes are the other's.
 */
export class KeptEnd {
  #fd: number | undefined;
  #reader: Readable | undefined;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /**
   * Discards what comes from now on.
   * @returns false where the system refuses, or it is closed
   */
  readOn(onBytes: (bytes: number) => void, onEnd: () => void): boolean {
    if (this.#fd === undefined) return false;
    try {
      const reader = new Socket({ fd: this.#fd, readable: true, writable: false });
      this.#fd = undefined;
      this.#reader = reader;
      reader.on('data', (chunk: Buffer) => onBytes(chunk.length));
      reader.once('end', onEnd);
      reader.on('error', () => undefined);
      return true;
    } catch {
      this.close();
      return false;
    }
  }

  close(): void {
    this.#reader?.destroy();
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}

export class PipeStdio {
  stdin: Writable | null = null;
  stdout: Readable | null = null;
  stderr: Readable | null = null;
  /** What the spawn is given in place of the spec's own. */
  readonly stdio: (StdioSpec[Name] | number)[];
  readonly #theirs: number[] = [];
  #stdinFd: number | undefined;

  /**
   * Makes the streams, and closes the pipes for which the spec has no use after all.
   * @returns undefined where the system refuses; all pipes are closed then
   */
  static over(pipes: StdioPipes, spec: ChildSpec): PipeStdio | undefined {
    const streams = new PipeStdio(spec);
    const left = new Map(Object.entries(pipes)) as Map<Name, Pipe>;
    try {
      for (const name of NAMES) {
        const pipe = left.get(name);
        if (pipe === undefined || spec[name] !== 'pipe') continue;
        streams.#make(name, pipe.ours);
        left.delete(name);
        streams.#theirs.push(pipe.theirs);
        streams.stdio[NAMES.indexOf(name)] = pipe.theirs;
        chown(pipe.theirs, spec);
      }
      return streams;
    } catch {
      streams.closeTheirs();
      streams.destroy();
      return undefined;
    } finally {
      closeStdioPipes(Object.fromEntries(left));
    }
  }

  private constructor({ stdin, stdout, stderr }: StdioSpec) {
    this.stdio = [stdin, stdout, stderr];
  }

  #make(name: Name, fd: number): void {
    if (name === 'stdin') {
      this.stdin = new Socket({ fd, readable: false, writable: true });
      this.#stdinFd = fd;
    } else if (name === 'stdout') this.stdout = slabReader(fd);
    else this.stderr = new Socket({ fd, readable: true, writable: false });
  }

  /** The child has its own copies, or will never be. */
  closeTheirs(): void {
    for (const fd of this.#theirs.splice(0)) closeSync(fd);
  }

  /** What a ChildProcess does with its own: nobody takes more input, and an end that nobody waits for is looked for. */
  childExited(): void {
    this.stdin?.destroy();
    this.stdout?.resume();
    this.stderr?.resume();
  }

  /** @returns undefined where stdin is no pipe of ours, is closed, or the system refuses */
  openFurtherEnds(): FurtherEnds | undefined {
    if (this.#stdinFd === undefined || !this.stdin || this.stdin.destroyed) return undefined;
    const path = `/proc/self/fd/${this.#stdinFd}`;
    let theirs: number | undefined;
    try {
      theirs = openSync(path, constants.O_WRONLY);
      return { theirs, kept: new KeptEnd(openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)) };
    } catch {
      if (theirs !== undefined) closeSync(theirs);
      return undefined;
    }
  }

  destroy(): void {
    for (const name of NAMES) this[name]?.destroy();
  }
}

/** A program of another user cannot open what is ours by a name. Only root may give it away, and only root may set `uid`. */
function chown(fd: number, { uid = -1, gid = -1 }: ChildSpec): void {
  if (uid === -1 && gid === -1) return;
  try {
    fchownSync(fd, uid, gid);
  } catch {
    // It can use the descriptor all the same.
  }
}

/**
 * What the kernel fills, for all pipes of a thread: a chunk is copied out before anything else runs. Node is never given
 * another buffer by `onread`, since it misses it where user code throws, in the callback or in a tick of it: it would read
 * the next chunk over the one before, and what is taken for that chunk would be other memory.
 */
const readBuffer = Buffer.allocUnsafeSlow(64 * 1024);

/**
 * Reads without the 64 KiB that Node would allocate for each read and shrink to what came. It flows, pauses, resumes and
 * ends as any socket, but its `data` does not pass through the buffer of the stream, so `read()` has nothing.
 */
function slabReader(fd: number): Readable {
  const slab = new Slab();
  const onread = {
    buffer: readBuffer,
    callback(bytes: number): boolean {
      socket.emit('data', slab.copy(readBuffer.subarray(0, bytes)));
      return !socket.isPaused();
    },
  };
  const options: SocketConstructorOpts & { onread: typeof onread } = { fd, readable: true, writable: false, onread };
  const socket = new Socket(options);
  return socket;
}

const SLAB_BYTES = 8 * 1024;

/** Memory for chunks, handed out from its start to its end and then left to those who have views on it. */
export class Slab {
  #bytes = Buffer.alloc(0);
  #used = 0;

  /** The bytes, in memory that nobody else is ever given; a long chunk has its own, so that it pins no other. */
  copy(chunk: Buffer): Buffer {
    const { length } = chunk;
    if (length > SLAB_BYTES / 2) {
      const own = Buffer.allocUnsafeSlow(length);
      own.set(chunk);
      return own;
    }
    if (this.#bytes.length - this.#used < length) {
      this.#bytes = Buffer.allocUnsafeSlow(SLAB_BYTES);
      this.#used = 0;
    }
    const start = this.#used;
    this.#used += length;
    this.#bytes.set(chunk, start);
    return this.#bytes.subarray(start, this.#used);
  }
}
