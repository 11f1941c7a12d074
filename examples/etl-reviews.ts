/** Reviews to score, as they lie in a file: most are sound, some are not. The same ones in every run. */

export interface Review {
  readonly id: number;
  readonly stars: number;
  readonly text: string | null;
}

const WORDS =
  `good great perfect love bad poor broken hate the a this it was is of for with and but not very quite never always
  delivery parcel battery screen colour handle zipper manual charger price quality service weekend present garden
  kitchen daughter neighbour arrived returned ordered expected recommend replaced assembled Überraschung café naïve`.split(
    /\s+/,
  );
const WORDS_EACH = 150;

/** One line of NDJSON each, about `bytes` together, in chunks. */
export function* reviewLines(bytes: number): Generator<string> {
  const random = numbers();
  let chunk = '';
  for (let id = 0, written = 0; written < bytes; id += 1) {
    const line = reviewLine(id, random);
    written += line.length;
    chunk += line;
    if (chunk.length < 65_536 && written < bytes) continue;
    yield chunk;
    chunk = '';
  }
}

function reviewLine(id: number, random: () => number): string {
  const words = Array.from({ length: WORDS_EACH }, () => WORDS[random() % WORDS.length]);
  const review: Review = { id, stars: 1 + (random() % 5), text: isWithoutText(id) ? null : words.join(' ') };
  const line = JSON.stringify(isDeadly(id) ? { ...review, text: `${review.text} \ud83d` } : review);
  return `${isCut(id) ? line.slice(0, line.length / 2) : line}\n`;
}

/** The export ran full: no JSON. */
function isCut(id: number): boolean {
  return id % 1499 === 700;
}

/** The program says that it cannot score it. */
function isWithoutText(id: number): boolean {
  return id % 997 === 500;
}

/** The program dies of it. */
function isDeadly(id: number): boolean {
  return id % 25_000 === 900;
}

function numbers(): () => number {
  let state = 1;
  return () => (state = (state * 48_271) % 0x7fff_ffff);
}
