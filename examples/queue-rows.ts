/** The rows of queue.ts: the reviews of etl.ts as lines of JSON, numbered from 0, and what becomes of the bad ones. */
import { reviewLines, type Review } from './etl-reviews';

/** Rows that are planted for a run with faults. */
export const BAD_ROWS: Readonly<Record<number, 'poison' | 'kill-host' | 'hang'>> = {
  1500: 'poison',
  4000: 'poison',
  6500: 'hang',
  8100: 'poison',
  11_000: 'kill-host',
  12_345: 'poison',
  19_999: 'poison',
};

/** What is written for a row that no worker could answer, so that the output has a line for each row. */
export function deadLine(row: string, code: unknown): string {
  const { id } = JSON.parse(row) as Review;
  return JSON.stringify({ id, error: code });
}

export function* rows(count: number, hasFaults: boolean): Generator<string> {
  let id = 0;
  for (const chunk of reviewLines(Infinity)) {
    for (const line of chunk.split('\n')) {
      const review = parsed(line);
      if (review === undefined || (hasFaults && isDeadly(review))) continue;
      const fault = hasFaults ? BAD_ROWS[id] : undefined;
      yield JSON.stringify({ ...review, id, ...(fault === undefined ? {} : { text: textOf(fault) }) });
      id += 1;
      if (id === count) return;
    }
  }
}

/** @returns undefined for a line that was cut */
function parsed(line: string): Review | undefined {
  try {
    return JSON.parse(line) as Review;
  } catch {
    return undefined;
  }
}

/** Half a character, of which the program dies. */
function isDeadly({ text }: Review): boolean {
  return text?.includes('\ud83d') === true;
}

function textOf(fault: 'poison' | 'kill-host' | 'hang'): string {
  return fault === 'poison' ? 'half a character: \ud83d' : fault;
}
