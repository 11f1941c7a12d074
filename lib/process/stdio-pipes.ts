/** Our side of a child's stdio: over anonymous pipes, where there are some, in place of the sockets of a ChildProcess. */
import { closeSync, constants, fchownSync, openSync } from 'node:fs';
import { Socket, type SocketConstructorOpts } from 'node:net';
import type { Duplex, Readable, Writable } from 'node:stream';
import type { ChildSpec } from './child-spec';
import { MAX_PIPES, pipeSource, type Pipe, type PipeSource } from './pipes';
import { openSocketPair, type SocketPair } from './socket-pair';

/** What a child may be given, whatever number it has there; a number: of a descriptor from 3 on. */
export type Slot = 'stdin' | 'stdout' | 'stderr' | number;
type StdioSpec = Pick<ChildSpec, 'stdin' | 'stdout' | 'stderr' | 'descriptors' | 'channel'>;

/** The pipes that a child is to be given; their owner spawns over them or closes them. */
export type StdioPipes = Readonly<Partial<Record<Slot, Pipe | SocketPair>>>;

/** What the child has at each number; at two, where both are one thing. */
function slotsOf({ channel, stderr, descriptors }: StdioSpec): readonly (Slot | undefined)[] {
  const slots: (Slot | undefined)[] =
    channel === 'fd3'
      ? [undefined, 'stderr', 'stderr', 'stdin', 'stdout']
      : ['stdin', 'stdout', stderr === 'stdout' ? 'stdout' : 'stderr'];
  for (const fd of Object.keys(descriptors).map(Number)) slots[fd] = fd;
  return Array.from(slots);
}

type Entry = 'pipe' | 'ignore' | number | Writable;

/** What the spec says of it. */
function entryOf(spec: StdioSpec, slot: Slot | undefined): Entry {
  if (slot === undefined) return 'ignore';
  if (typeof slot === 'number') return 'pipe';
  const entry = spec[slot];
  // Ours, whatever number the child has it at.
  return entry === 'inherit' || entry === 'stdout' ? 2 : entry;
}

/** What is a pipe in the spec, each once. */
function pipeSlots(spec: StdioSpec): Slot[] {
  const slots = new Set(slotsOf(spec));
  return [...slots].filter((slot): slot is Slot => entryOf(spec, slot) === 'pipe');
}

/** What the child has at two numbers, where we are at the other end of it. */
function sharedSlot(spec: StdioSpec): Slot | undefined {
  const slots = slotsOf(spec);
  return pipeSlots(spec).find((slot) => slots.indexOf(slot) !== slots.lastIndexOf(slot));
}

/**
 * Pipes for all that is `'pipe'` in the spec, but for what goes both ways, and what is more than are had at a time.
 * @param done called once, now or later, with the pipes or with a sentence that says why there are none
 */
export function takeStdioPipes(
  spec: StdioSpec,
  done: (result: Readonly<Partial<Record<Slot, Pipe>>> | string) => void,
  source: PipeSource = pipeSource,
): void {
  const useOf = (slot: Slot) => (typeof slot === 'number' ? spec.descriptors[slot] : slot === 'stdin' ? 'in' : 'out');
  const slots = pipeSlots(spec)
    .filter((slot) => useOf(slot) !== 'duplex')
    .slice(0, MAX_PIPES);
  const ends = slots.map((slot) => (useOf(slot) === 'in' ? 'reads' : 'writes'));
  source.take(ends, (result) => {
    if (typeof result === 'string') done(result);
    else done(Object.fromEntries(slots.map((slot, index) => [slot, result[index]])));
  });
}

/**
 * Where there are no pipes: a pair of sockets for what the child has at two numbers, since a ChildProcess would make two
 * things of it.
 * @param done called once, now or later, with the pair, with nothing where none is needed, or with the reason why there is none
 */
export function takeSharedPair(spec: StdioSpec, done: (result: StdioPipes | string) => void): void {
  const slot = sharedSlot(spec);
  if (slot === undefined) done({});
  else openSocketPair((result) => done(result instanceof Error ? result.message : { [slot]: result }));
}

export function closeStdioPipes(pipes: StdioPipes): void {
  for (const { ours, theirs } of Object.values(pipes) as (Pipe | SocketPair)[]) {
    closeEnd(ours);
    closeEnd(theirs);
  }
}

function closeEnd(end: number | Socket): void {
  if (typeof end === 'number') closeSync(end);
  else end.destroy();
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

export class ChildStdio {
  readonly #spec: StdioSpec;
  readonly #slots: readonly (Slot | undefined)[];
  readonly #entries: Entry[];
  readonly #streams = new Map<Slot, Duplex>();
  readonly #theirs: (number | Socket)[] = [];
  #stdinFd: number | undefined;

  /**
   * Makes the streams, and closes the pipes for which the spec has no use after all; all of them where the system refuses.
   */
  static over(pipes: StdioPipes, spec: ChildSpec): ChildStdio {
    const stdio = new ChildStdio(spec);
    const left: Partial<Record<Slot, Pipe | SocketPair>> = { ...pipes };
    try {
      for (const slot of pipeSlots(spec)) {
        const pipe = left[slot];
        if (pipe === undefined) continue;
        stdio.#make(slot, pipe.ours);
        // eslint-disable-next-line @typescript-eslint/no-dynamic-delete -- what is left is closed
        delete left[slot];
        stdio.#give(slot, pipe.theirs);
        if (typeof pipe.theirs === 'number') chown(pipe.theirs, spec);
      }
      return stdio;
    } catch {
      stdio.closeTheirs();
      stdio.destroy();
      return new ChildStdio(spec);
    } finally {
      closeStdioPipes(left);
    }
  }

  private constructor(spec: StdioSpec) {
    this.#spec = spec;
    this.#slots = slotsOf(spec);
    this.#entries = this.#slots.map((slot) => entryOf(spec, slot));
  }

  /**
   * What the spawn is given.
   * @throws where the child is to have one thing at two numbers and there is none
   */
  get entries(): Entry[] {
    const shared = sharedSlot(this.#spec);
    if (shared === undefined || this.#streams.has(shared)) return this.#entries;
    throw new Error('there is no pipe, and no pair of sockets, that the child could have as its stdout and its stderr');
  }

  /** Our ends; null where there is none. */
  get stdin(): Writable | null {
    return this.#streams.get('stdin') ?? null;
  }

  get stdout(): Readable | null {
    return this.#streams.get('stdout') ?? null;
  }

  get stderr(): Readable | null {
    return this.#streams.get('stderr') ?? null;
  }

  /** Those of its descriptors from 3 on, by their numbers. */
  get descriptors(): ReadonlyMap<number, Duplex> {
    return new Map([...this.#streams].filter((entry): entry is [number, Duplex] => typeof entry[0] === 'number'));
  }

  /** Those whose end means something to the child. */
  get inputs(): readonly Duplex[] {
    return [...this.#streams].filter(([slot]) => this.#isInput(slot)).map(([, stream]) => stream);
  }

  get streams(): readonly Duplex[] {
    return [...this.#streams.values()];
  }

  /** Takes those that the ChildProcess has made. */
  adopt(made: readonly unknown[]): void {
    for (const slot of pipeSlots(this.#spec)) {
      if (!this.#streams.has(slot)) this.#streams.set(slot, made[this.#slots.indexOf(slot)] as Duplex);
    }
  }

  #isInput(slot: Slot): boolean {
    return slot === 'stdin' || (typeof slot === 'number' && this.#spec.descriptors[slot] === 'in');
  }

  #make(slot: Slot, end: number | Socket): void {
    if (typeof end !== 'number') {
      this.#streams.set(slot, end);
      return;
    }
    const isInput = this.#isInput(slot);
    if (slot === 'stdout') this.#streams.set(slot, slabReader(end));
    else this.#streams.set(slot, new Socket({ fd: end, readable: !isInput, writable: isInput }));
    if (slot === 'stdin') this.#stdinFd = end;
  }

  #give(slot: Slot, end: number | Socket): void {
    this.#theirs.push(end);
    for (const [fd, one] of this.#slots.entries()) if (one === slot) this.#entries[fd] = end;
  }

  /** The child has its own copies, or will never be. */
  closeTheirs(): void {
    for (const end of this.#theirs.splice(0)) closeEnd(end);
  }

  /** What a ChildProcess does with its own: nobody takes more input, and an end that nobody waits for is looked for. */
  childExited(): void {
    this.stdin?.destroy();
    this.stdout?.resume();
    this.stderr?.resume();
  }

  /** @returns undefined where stdin is no pipe of ours, is closed, or the system refuses */
  openFurtherEnds(): FurtherEnds | undefined {
    const { stdin } = this;
    if (this.#stdinFd === undefined || !stdin || stdin.destroyed) return undefined;
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
    for (const stream of this.streams) stream.destroy();
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
function slabReader(fd: number): Socket {
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
