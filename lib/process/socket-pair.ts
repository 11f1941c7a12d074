/**
 * Two connected sockets, of which a child can be given one at two of its numbers; a ChildProcess keeps its own to itself.
 * Node can connect only to a name, so there is one in a folder of our own for a moment.
 */
import { mkdtemp, rmdir } from 'node:fs/promises';
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
  const ends: Socket[] = [];
  const over = new AbortController();
  const { signal } = over;
  try {
    const file = join(folder, 'pair');
    server.on('connection', (end) => ends.push(end));
    server.listen(file);
    await once(server, 'listening');
    const ours = connect(file);
    ends.push(ours);
    const connected = Promise.all([once(server, 'connection', { signal }), once(ours, 'connect', { signal })]);
    // Without a descriptor for the other end libuv closes it, and no `connection` comes.
    const isLost = once(ours, 'close', { signal }).then(() => Promise.reject(noDescriptor()));
    const [[theirs]] = (await Promise.race([connected, isLost])) as [[Socket], unknown];
    return { ours, theirs };
  } catch (error) {
    for (const end of ends) end.destroy();
    throw error;
  } finally {
    over.abort();
    // It takes its name away.
    server.close();
    await rmdir(folder).catch(() => undefined);
  }
}

function noDescriptor(): Error {
  return Object.assign(new Error('no descriptor is left for a pair of sockets'), { code: 'EMFILE' });
}
