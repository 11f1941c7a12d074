/**
 * Streams of `node:fs` whose descriptor a child may be given instead of their bytes: fresh ones, over a whole file, that
 * do with it what they always do. In doubt they are left to do it.
 */
import { fstatSync, ReadStream, statSync, WriteStream, type BigIntStats } from 'node:fs';
import { isatty } from 'node:tty';
import { hasOneReader } from './piped-streams';

/** What both kinds have, though the declarations do not say so. */
interface FileStream {
  readonly fd: number | null;
  readonly path: string | Buffer | undefined;
  readonly start: number | undefined;
  readonly autoClose: boolean;
}

/**
 * The file behind a descriptor, where that is the file of that path: a stream with an `fs` of its own may call by the same
 * number something else, and the number may have been given anew. No terminal, which programs treat in their own way; no
 * FIFO, whose other end would notice.
 */
function fileOf(fd: number | null, path: string | Buffer | undefined): BigIntStats | undefined {
  if (fd === null || path === undefined) return undefined;
  try {
    const file = fstatSync(fd, { bigint: true });
    const isFile = file.isFile() || (file.isCharacterDevice() && !isatty(fd));
    return isFile && isSame(file, statSync(path, { bigint: true })) ? file : undefined;
  } catch {
    return undefined;
  }
}

function isSame(one: BigIntStats, other: BigIntStats): boolean {
  return one.dev === other.dev && one.ino === other.ino;
}

function isOpen(fd: number, file: BigIntStats): boolean {
  try {
    return isSame(fstatSync(fd, { bigint: true }), file);
  } catch {
    return false;
  }
}

/** No subclass, and no method replaced, which might want to see the bytes. */
function isPlain(stream: ReadStream | WriteStream, Class: { readonly prototype: object }): boolean {
  const { start, autoClose } = stream as unknown as FileStream;
  const hasOwnMethods = Object.values(stream).some((value) => typeof value === 'function');
  return Object.getPrototypeOf(stream) === Class.prototype && !hasOwnMethods && start === undefined && autoClose;
}

/** A file that is piped into a port, which takes it when it is opened, before the stream has read of it. */
export class RedirectedFile {
  /** Whether it is still to be opened. */
  isPending = true;
  readonly #stream: ReadStream;
  #taken: { readonly fd: number; readonly file: BigIntStats } | undefined;

  /** @returns undefined for a stream that is read in the ordinary way */
  static of(stream: unknown): RedirectedFile | undefined {
    if (!(stream instanceof ReadStream) || !isPlain(stream, ReadStream)) return undefined;
    const { end } = stream as unknown as { readonly end: number };
    return stream.pending && end === Infinity && isUnread(stream) ? new RedirectedFile(stream) : undefined;
  }

  private constructor(stream: ReadStream) {
    this.#stream = stream;
  }

  /**
   * @param mayTake whether it is still wanted, asked when the file has been opened
   * @param onSettled called when it has been opened or will not be, and when it can be waited with no longer
   */
  open(mayTake: () => boolean, onSettled: (isLastCall: boolean) => void): void {
    const settle = (isLastCall: boolean): void => {
      this.isPending = false;
      onSettled(isLastCall);
    };
    this.#stream.once('open', (fd: number) => {
      if (mayTake()) this.#take(fd);
      settle(false);
    });
    this.#stream.once('end', () => settle(true));
    this.#stream.once('close', () => settle(false));
  }

  /** The descriptor, if it was taken and is there still; the stream closes its own after its `end`. */
  descriptor(): number | undefined {
    if (this.#taken === undefined || this.#stream.destroyed) return undefined;
    const { fd, file } = this.#taken;
    if ((this.#stream as unknown as FileStream).fd === fd && isOpen(fd, file)) return fd;
    this.#stream.destroy(new Error(`the descriptor of ${String(this.#stream.path)} was closed by somebody else`));
    return undefined;
  }

  #take(fd: number): void {
    const { path } = this.#stream as unknown as FileStream;
    const file = isUnread(this.#stream) ? fileOf(fd, path) : undefined;
    if (file === undefined) return;
    this.#taken = { fd, file };
    // The stream would read in the next tick. Its end waits until it flows, and the descriptor lives as long.
    this.#stream.push(null);
  }
}

/** Whether nothing was read, and nothing will be before the pipe says so. */
function isUnread(stream: ReadStream): boolean {
  const { readableLength, readableEncoding, destroyed } = stream;
  return !destroyed && readableLength === 0 && readableEncoding === null && stream.isPaused() && hasOneReader(stream);
}

/** A stream over a file that a child may write itself: nothing was written to it, and one stream is piped into it. */
export function isFileSink(stream: unknown): stream is WriteStream {
  if (!(stream instanceof WriteStream) || !isPlain(stream, WriteStream)) return false;
  const isUnwritten = stream.writable && stream.writableLength === 0 && stream.bytesWritten === 0;
  return isUnwritten && stream.listenerCount('unpipe') === 1;
}

/** Its descriptor; undefined where that is not to be given away, or not there. */
export function descriptorOf(stream: unknown): number | undefined {
  if (!isFileSink(stream)) return undefined;
  const { fd, path } = stream as unknown as FileStream;
  return fileOf(fd, path) && (fd ?? undefined);
}
