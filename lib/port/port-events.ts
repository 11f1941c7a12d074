/** What the monitor does, for those who watch. */
import type { ExitStatus } from '../process/exit-status';
import type { BrokenError } from './port-errors';
import type { PortChild } from './protocol';

/** A child. */
export interface Generation {
  /** The place of the child, counted from 0; always 0 in a Port. */
  readonly lane: number;
  /** How many children the lane has had, this one included. */
  readonly generation: number;
  /** The process number; undefined where the program could not be started. */
  readonly pid: number | undefined;
}

/** The next child of a lane. */
export interface Restart {
  /** The place of the child, counted from 0; always 0 in a Port. */
  readonly lane: number;
  /** How many children the lane will have had, this one included. */
  readonly generation: number;
  /** Whole milliseconds until it is started. */
  readonly delayMs: number;
  /** Why the one before it ended; absent where the replacement was planned. */
  readonly cause?: Error;
}

/** Events come when all that belongs to them is done: a listener may call any method of the port, and may throw. */
export interface PortEvents<Event = never> {
  /** A child is up. */
  spawn: [child: Generation];
  /** A child has ended. It may come after the next one's `spawn`, where that was started before. */
  exit: [child: Generation, status: ExitStatus];
  /** Another child will be started. */
  restart: [next: Restart];
  /** The child of one lane was given up: a pool is smaller until `restart()`. In a Port, `broken` comes right after. */
  lanebroken: [lane: number, error: BrokenError];
  /** The last child was given up; requests fail until `restart()`. */
  broken: [error: BrokenError];
  /** A child sent a message that nobody waits for, and is replaced; or one that the protocol calls stray, and stays. */
  unexpected: [child: Generation, message: Buffer];
  /** A child sent what the protocol calls an event. */
  message: [event: Event, child: PortChild<unknown, unknown>];
}

/** Any of the events, with the arguments of its listeners. */
export type Told = {
  [Name in keyof PortEvents<unknown>]: readonly [Name, PortEvents<unknown>[Name]];
}[keyof PortEvents];
