import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Lets go of everything nobody holds; the turns of the event loop are for WeakRefs and for memory of Buffers. */
export async function collectGarbage(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  collect();
  await new Promise((resolve) => setImmediate(resolve));
}

/** By how many bytes the ArrayBuffers that are alive have grown after `action`. */
export async function bytesKeptBy(action: () => void): Promise<number> {
  await collectGarbage();
  const before = process.memoryUsage().arrayBuffers;
  action();
  await collectGarbage();
  return process.memoryUsage().arrayBuffers - before;
}

/** The sizes of all Buffers that `action` reserves. */
export function reservedBy(action: () => void): number[] {
  const { allocUnsafe } = Buffer;
  const sizes: number[] = [];
  Buffer.allocUnsafe = (size) => {
    sizes.push(size);
    return allocUnsafe(size);
  };
  try {
    action();
  } finally {
    Buffer.allocUnsafe = allocUnsafe;
  }
  return sizes;
}

/** How many bytes `action` copies from view to view. */
export function bytesCopiedBy(action: () => void): number {
  const prototype = Object.getPrototypeOf(Uint8Array.prototype) as { set(source: ArrayLike<number>, at?: number): void };
  const { set } = prototype;
  const { copy } = Buffer.prototype;
  let bytes = 0;
  prototype.set = function (source, at) {
    bytes += source.length;
    set.call(this, source, at);
  };
  Buffer.prototype.copy = function (...args: Parameters<typeof copy>) {
    const copied = copy.apply(this, args);
    bytes += copied;
    return copied;
  };
  try {
    action();
  } finally {
    prototype.set = set;
    Buffer.prototype.copy = copy;
  }
  return bytes;
}

/** An ArrayBuffer that may shrink, which Node 20 has and its declarations have not. */
export function resizable(bytes: number): ArrayBuffer & { resize(bytes: number): void } {
  return new (ArrayBuffer as unknown as new (bytes: number, options: object) => ReturnType<typeof resizable>)(bytes, {
    maxByteLength: bytes,
  });
}
