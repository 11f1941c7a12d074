/** What reaches `process`: nothing ever should. */
import { setImmediate as turn } from 'node:timers/promises';

const EVENTS = ['uncaughtExceptionMonitor', 'unhandledRejection', 'warning'] as const;

export class ProcessEvents {
  readonly seen: string[] = [];
  readonly #listeners = EVENTS.map((event) => {
    const listener = (what: unknown): void => void this.seen.push(`${event}: ${String(what)}`);
    process.on(event as 'warning', listener);
    return () => process.removeListener(event, listener);
  });

  /** Stops to listen, a few turns later: a rejection is told after the tick in which nobody took it. */
  async stop(): Promise<string[]> {
    for (let count = 0; count < 3; count += 1) await turn();
    for (const remove of this.#listeners) remove();
    return this.seen;
  }
}
