/** What the dispatcher is told, and what it tells. */
import type { LaneEvents, LaneSettings } from './lane-events';
import type { BrokenError } from './port-errors';

export interface DispatcherSettings extends LaneSettings {
  readonly size: number;
  /** So many children stay, though they have nothing to do. */
  readonly minSize: number;
  /** How long a child may have nothing to do; undefined: for ever. */
  readonly idleTimeoutMs: number | undefined;
  readonly maxQueue: number;
  readonly requestTimeoutMs: number | undefined;
  /** Destroys the port. */
  readonly signal: AbortSignal | undefined;
}

export interface DispatcherEvents extends Pick<LaneEvents, 'spawned' | 'exited' | 'restarting' | 'unexpected'> {
  /** One lane was given up. */
  laneBroken(lane: number, error: BrokenError): void;
  /** All were. */
  broken(error: BrokenError): void;
}

export type PortState = 'idle' | 'starting' | 'ready' | 'backoff' | 'broken' | 'closing' | 'closed';
