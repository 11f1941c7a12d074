/** How many bytes this process holds, what is garbage left out. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** What a collection may find by chance. */
const NOTHING_BYTES = 64 * 1024;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

export async function liveBytes(): Promise<number> {
  let live = Infinity;
  let last: number;
  // memory of Buffers is given back by another thread: collect until a collection finds no more
  do {
    last = live;
    collect();
    await new Promise((resolve) => setImmediate(resolve));
    const { heapUsed, external } = process.memoryUsage();
    live = heapUsed + external;
  } while (last - live > NOTHING_BYTES);
  return live;
}
