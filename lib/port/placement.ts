/** The rules of a pool, as questions about its lanes. Pure: nothing is done, and time is what the lanes say of it. */
import type { LaneState } from './statistics';

/** What the rules ask of a lane. */
export interface PlacedLane {
  readonly state: LaneState;
  /** How many requests it takes now. */
  readonly room: number;
  readonly inFlight: number;
  /** It has a child on its way, or one that has not yet shown that it is well. */
  readonly isUnproven: boolean;
  /** Its child was given, or has taken, twice what it was to have. */
  readonly isLongOverdue: boolean;
  /** A replacement could begin now. */
  readonly mayReplace: boolean;
  /** At how many looks in a row its child had nothing to do, and had not been given anything in between. */
  readonly idleLooks: number;
}

/** The ready lane with the fewest in flight; for a request that may be deadly, one without any. */
export function laneFor<Lane extends PlacedLane>(isSuspect: boolean, lanes: readonly Lane[]): Lane | undefined {
  let best: Lane | undefined;
  let fewest = isSuspect ? 1 : Infinity;
  for (const lane of lanes) {
    if (lane.room <= 0) continue;
    const { inFlight } = lane;
    if (inFlight >= fewest) continue;
    best = lane;
    fewest = inFlight;
    if (inFlight === 0) break;
  }
  return best;
}

/** The lane to be started: where more requests wait, for a child or in one behind others, than children are starting. */
export function laneToStart<Lane extends PlacedLane>(queued: number, lanes: readonly Lane[]): Lane | undefined {
  const idle = lanes.find(({ state }) => state === 'idle');
  if (idle === undefined) return undefined;
  let waiting = queued;
  for (const { state, inFlight } of lanes) waiting += state === 'starting' ? -1 : Math.max(0, inFlight - 1);
  return waiting > 0 ? idle : undefined;
}

/**
 * The lane whose child is replaced next: one after another, for many that start at once would leave nobody to answer.
 * A lane has its turn when all others that were started are known to be well; one that has waited for long, when one of
 * them is.
 * @param due the lanes that are to be replaced, first come first
 */
export function laneToReplace<Lane extends PlacedLane>(due: Iterable<Lane>, lanes: readonly Lane[]): Lane | undefined {
  for (const lane of due) {
    if (!lane.mayReplace) continue;
    const others = lanes.filter((other) => other !== lane && (other.state === 'ready' || other.state === 'starting'));
    const unproven = others.filter(({ isUnproven }) => isUnproven).length;
    if (unproven === 0 || (lane.isLongOverdue && unproven < others.length)) return lane;
  }
  return undefined;
}

/**
 * The lanes whose children leave: those that had nothing to do at this many looks in a row, the last ones first, for of
 * children with nothing to do the first is asked. `minSize` stay.
 */
export function lanesToRelease<Lane extends PlacedLane>(
  looks: number,
  minSize: number,
  lanes: readonly Lane[],
): Lane[] {
  const spare = lanes.filter(({ state }) => state === 'ready').length - minSize;
  const idle = lanes
    .toReversed()
    .filter(({ room, inFlight, idleLooks }) => room > 0 && inFlight === 0 && idleLooks >= looks);
  return idle.slice(0, Math.max(0, spare));
}
