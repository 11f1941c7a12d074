/* eslint-disable @typescript-eslint/unbound-method -- methods are replaced and put back as they were */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** What a collection may find of a heap by chance. */
const NOISE_BYTES = 64 * 1024;

/** Lets go of everything nobody holds; the turns of the event loop are for WeakRefs and for memory of Buffers. */
export async function collectGarbage(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  collect();
  await new Promise((resolve) => setImmediate(resolve));
}

/** By how many bytes the ArrayBuffers that are alive have grown after `action`. */
export async function bytesKeptBy(action: () => unknown): Promise<number> {
  const before = await aliveBytes();
  await action();
  return (await aliveBytes()) - before;
}

function aliveBytes(): Promise<number> {
  return leastOf(() => process.memoryUsage().arrayBuffers);
}

/** How many bytes this process holds, what is garbage left out. */
export function liveBytes(): Promise<number> {
  return leastOf(() => {
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  }, NOISE_BYTES);
}

/** Memory of Buffers is given back by another thread: collect until a collection finds no more. */
async function leastOf(bytes: () => number, noise = 0): Promise<number> {
  let least = Infinity;
  let last: number;
  do {
    last = least;
    await collectGarbage();
    least = bytes();
  } while (last - least > noise);
  return least;
}

/** The sizes of all Buffers that `action` reserves. */
export function reservedBy(action: () => void): number[] {
  const { allocUnsafeSlow } = Buffer;
  const sizes: number[] = [];
  Buffer.allocUnsafeSlow = (size) => {
    sizes.push(size);
    return allocUnsafeSlow(size);
  };
  try {
    action();
  } finally {
    Buffer.allocUnsafeSlow = allocUnsafeSlow;
  }
  return sizes;
}

/** How many bytes `action` copies from view to view. */
export function bytesCopiedBy(action: () => void): number {
  const views = Object.getPrototypeOf(Uint8Array.prototype) as {
    set: (source: ArrayLike<number>, at?: number) => void;
  };
  const buffers = Buffer.prototype as { copy: (...to: Parameters<Buffer['copy']>) => number };
  const { set } = views;
  const { copy } = buffers;
  let bytes = 0;
  views.set = function (source, at) {
    bytes += source.length;
    set.call(this, source, at);
  };
  buffers.copy = function (...to) {
    const copied = copy.apply(this, to);
    bytes += copied;
    return copied;
  };
  try {
    action();
  } finally {
    views.set = set;
    buffers.copy = copy;
  }
  return bytes;
}

/** An ArrayBuffer that may shrink, which Node 20 has and its declarations have not. */
export function resizable(bytes: number): ArrayBuffer & { resize(bytes: number): void } {
  return new (ArrayBuffer as unknown as new (bytes: number, options: object) => ReturnType<typeof resizable>)(bytes, {
    maxByteLength: bytes,
  });
}
