/**
 * Two connected sockets, of which a child can be given one at two of its numbers; a ChildProcess keeps its own to itself.
 * Node can connect only to a name, so there is one in a folder of our own for a moment.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The caller destroys both. */
export interface SocketPair {
  readonly ours: Socket;
  /** Nothing is read from it here. */
  readonly theirs: Socket;
}

/** @param done called once, later */
export function openSocketPair(done: (result: SocketPair | Error) => void): void {
  void open().then(
    (pair) => process.nextTick(done, pair),
    (error: unknown) => process.nextTick(done, error),
  );
}

async function open(): Promise<SocketPair> {
  const folder = await mkdtemp(join(tmpdir(), 'rexport-'));
  const server = createServer({ pauseOnConnect: true });
  try {
    const file = join(folder, 'pair');
    server.listen(file);
    await once(server, 'listening');
    const ours = connect(file);
    const [[theirs]] = (await Promise.all([once(server, 'connection'), once(ours, 'connect')])) as [[Socket], unknown];
    return { ours, theirs };
  } finally {
    server.close();
    await rm(folder, { recursive: true, force: true });
  }
}
