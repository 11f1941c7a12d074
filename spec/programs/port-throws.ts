/**
 * Listeners that throw, in a process that goes on when something is thrown at it: `port-throws.js OBEYS.PL Port|PortPool
 * EVENT`. Prints what came of it as JSON.
 */
import { Port, PortPool, type PortEvents, type PortOptions, type RexPortError } from '../../lib/index';

export interface Outcome {
  /** What came to the process, in order. */
  readonly uncaught: readonly string[];
  /** How often the listener threw. */
  readonly thrown: number;
  /** Whether each was the very error that the listener threw. */
  readonly areTheUsers: boolean;
  /** How the requests ended, by name. */
  readonly ends: Readonly<Record<string, string>>;
  /** After close() or destroy(). */
  readonly state: string;
  readonly alive: number;
}

const [, , obeys = '', maker = '', event = '', end = ''] = process.argv;

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function main(): Promise<void> {
  const thrown: Error[] = [];
  const uncaught: unknown[] = [];
  process.on('uncaughtException', (error) => uncaught.push(error));
  const breaks = event.endsWith('broken');
  const options: PortOptions = {
    backoff: { minMs: 1, maxMs: 2 },
    closeTimeoutMs: 2000,
    ...(breaks && { maxRestarts: 0 }),
  };
  const port =
    maker === 'Port' ? new Port('perl', [obeys], options) : new PortPool('perl', [obeys], { ...options, size: 2 });
  const pids: number[] = [];
  let told!: () => void;
  const seen = new Promise<void>((resolve) => (told = resolve));
  port.on(event as keyof PortEvents, () => {
    told();
    const error = new Error(`from a listener of ${event}`);
    thrown.push(error);
    throw error;
  });
  port.prependListener('spawn', ({ pid }) => void pids.push(pid!));

  const ends: Record<string, string> = {};
  const ask = async (name: string, message: string): Promise<void> => {
    try {
      ends[name] = String(await port.request(message));
    } catch (error) {
      ends[name] = (error as RexPortError).code ?? String(error);
    }
  };
  const asked = [
    ask('first', event === 'spawn' ? 'echo a' : event === 'unexpected' ? 'raw 00000001410000000142' : 'exit 1'),
  ];
  if (breaks && maker === 'PortPool') asked.push(...['second', 'third', 'fourth'].map((name) => ask(name, 'exit 1')));
  await Promise.all(asked);
  await seen;
  if (!breaks) await ask('next', 'echo next');
  else {
    port.removeAllListeners(event);
    await ask('next', 'echo refused');
    port.restart();
    await ask('healed', 'echo healed');
  }
  const last = ask('last', 'slowly 50 last');
  await (end === 'close' ? port.close() : port.destroy());
  await last;
  // what was thrown in this tick comes to the process before the next
  await new Promise((resolve) => setTimeout(resolve, 10));
  const outcome: Outcome = {
    uncaught: uncaught.map(String),
    thrown: thrown.length,
    areTheUsers: uncaught.every((error) => thrown.includes(error as Error)),
    ends,
    state: port.state,
    alive: pids.filter(isAlive).length,
  };
  console.log(JSON.stringify(outcome));
}

void main();
