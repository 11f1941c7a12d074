/** Work for a processor in plain JavaScript, the same for a child (hash-child.ts) and for a worker thread. */
export function hash(rounds: number): number {
  let state = 0x811c9dc5;
  for (let round = 0; round < rounds; round++) state = Math.imul(state ^ (round & 0xff), 0x01000193);
  return state >>> 0;
}

/** Rounds that take some 5 milliseconds. */
export const ROUNDS = 4_500_000;
