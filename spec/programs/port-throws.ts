/**
 * Listeners that throw, in a process that goes on when something is thrown at it: `port-throws.js OBEYS.PL CASE...`, all
 * cases at once, each in words: `PortPool exit close`. Prints what came of them as JSON, a Report.
 */
import { Port, PortPool, type PortEvents, type PortOptions, type RexPortError } from '../../lib/index';

export interface Report {
  /** By case. */
  readonly outcomes: Readonly<Record<string, Outcome>>;
  /** What came to the process and was no error of a listener. */
  readonly strangers: readonly string[];
}

export interface Outcome {
  /** What came to the process, in order: of the very errors that the listener threw. */
  readonly uncaught: readonly string[];
  /** How often the listener threw. */
  readonly thrown: number;
  /** How the requests ended, by name. */
  readonly ends: Readonly<Record<string, string>>;
  /** After close() or destroy(). */
  readonly state: string;
  readonly alive: number;
}

const [, , obeys = '', ...cases] = process.argv;

const uncaught: unknown[] = [];
process.on('uncaughtException', (error) => uncaught.push(error));
/** What the listeners have thrown, in all cases. */
const known = new Set<unknown>();

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function run(maker: string, event: string, end: string): Promise<Outcome> {
  const thrown: Error[] = [];
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
    known.add(error);
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
  return {
    uncaught: uncaught.filter((error) => thrown.includes(error as Error)).map(String),
    thrown: thrown.length,
    ends,
    state: port.state,
    alive: pids.filter(isAlive).length,
  };
}

async function main(): Promise<void> {
  const outcomes = await Promise.all(
    cases.map(async (name): Promise<[string, Outcome]> => {
      const [maker = '', event = '', end = ''] = name.split(' ');
      return [name, await run(maker, event, end)];
    }),
  );
  const strangers = uncaught.filter((error) => !known.has(error)).map(String);
  console.log(JSON.stringify({ outcomes: Object.fromEntries(outcomes), strangers } satisfies Report));
}

void main();
