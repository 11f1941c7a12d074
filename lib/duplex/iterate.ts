import type { Duplex } from 'node:stream';

/**
 * The chunks of a port, as any Readable gives them, but for the end: Node's own iterator destroys a Duplex whose
 * writable side is still open with an AbortError, also when all was read. Here only who leaves early destroys, and
 * without an error.
 */
export async function* iterate(port: Duplex): AsyncGenerator<unknown, undefined> {
  let hasAll = false;
  try {
    yield* port.iterator({ destroyOnReturn: false });
    hasAll = true;
  } finally {
    if (!hasAll) port.destroy();
  }
}
