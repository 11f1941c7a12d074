/** A pool whose children are killed while it is asked. */
import { PoisonError, type PortPool, type PortPoolOptions } from '../../lib';

/** Those of a pool that is to outlive any number of kills. */
export const manyLives = { size: 2, maxRestarts: 1000, backoff: { minMs: 0, maxMs: 1 } } satisfies PortPoolOptions;

/** Asks for all of them, and kills one of the children behind each `killEvery` replies. */
export async function askUnderKills<Request, Reply>(
  pool: PortPool<Request, Reply>,
  requests: readonly Request[],
  killEvery: number,
): Promise<{ replies: Reply[]; kills: number }> {
  const alive = new Set<number>();
  pool.on('spawn', ({ pid }) => alive.add(pid ?? 0));
  pool.on('exit', ({ pid }) => alive.delete(pid ?? 0));
  let [answered, kills] = [0, 0];
  const ask = async (request: Request): Promise<Reply> => {
    try {
      return await pool.request(request, { idempotent: true });
    } catch (error) {
      // both of the children that had it were killed
      if (error instanceof PoisonError) return ask(request);
      throw error;
    }
  };
  const all = requests.map(async (request) => {
    const reply = await ask(request);
    answered += 1;
    const [pid] = alive;
    if (answered % killEvery === 0 && pid !== undefined) kills += Number(process.kill(pid, 'SIGKILL'));
    return reply;
  });
  return { replies: await Promise.all(all), kills };
}
