/**
 * What happens to children, for people: `NODE_DEBUG=rexport` prints a line for each spawn, exit and step of an ending;
 * for programs: the diagnostics_channel of the same name carries the same facts as an object. Both cost nothing while
 * nobody looks. No arguments and no environment are told: secrets live there.
 */
import { channel } from 'node:diagnostics_channel';
import { debuglog } from 'node:util';

export interface SpawnTrace {
  readonly command: string;
  readonly pid: number;
}

export interface ExitTrace extends SpawnTrace {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly durationMs: number;
}

/** One step of ending a child: a signal sent, our end of its stdout released. */
export interface EndTrace extends SpawnTrace {
  readonly step: string;
}

/** A child that was to have pipes gets sockets. */
export interface NoPipesTrace {
  readonly command: string;
  readonly reason: string;
}

/** What a port has done so far: see `PortStatistics`. Once a second while it is asked, and when it is closed. */
export interface StatisticsTrace {
  readonly command: string;
  readonly statistics: object;
}

/** What one side of a queue has done so far: see `QueueStatistics`. Once a second while it works, and at its end. */
export interface QueueTrace {
  readonly queue: string;
  readonly side: 'worker' | 'producer';
  readonly statistics: object;
}

const debug = debuglog('rexport');
const spawnChannel = channel('rexport:spawn');
const exitChannel = channel('rexport:exit');
const endChannel = channel('rexport:end');
const noPipesChannel = channel('rexport:no-pipes');
const statisticsChannel = channel('rexport:statistics');
const queueChannel = channel('rexport:queue');

export const trace = {
  spawn(facts: SpawnTrace): void {
    debug('spawn %s pid %d', facts.command, facts.pid);
    spawnChannel.publish(facts);
  },

  exit(facts: ExitTrace): void {
    const { command, pid, exitCode, signal, durationMs } = facts;
    debug('exit %s pid %d %s after %d ms', command, pid, signal ?? `code ${exitCode}`, Math.round(durationMs));
    exitChannel.publish(facts);
  },

  end(facts: EndTrace): void {
    debug('end %s pid %d: %s', facts.command, facts.pid, facts.step);
    endChannel.publish(facts);
  },

  noPipes(facts: NoPipesTrace): void {
    debug('no pipes for %s: %s', facts.command, facts.reason);
    noPipesChannel.publish(facts);
  },

  /** Whether anybody listens: to make statistics takes its time. */
  get wantsStatistics(): boolean {
    return statisticsChannel.hasSubscribers;
  },

  statistics(facts: StatisticsTrace): void {
    statisticsChannel.publish(facts);
  },

  get wantsQueue(): boolean {
    return queueChannel.hasSubscribers;
  },

  queue(facts: QueueTrace): void {
    queueChannel.publish(facts);
  },
};
