/** What a run of the benches gives, as JSON: printed by `--json`, kept in docs/numbers.json by `--chart`. */

export interface Ratio {
  readonly against: string;
  /** The subject's speed by the other's, or its time by the other's: see `Answer.ratio`. */
  readonly median: number;
  readonly min?: number;
  readonly max?: number;
}

export interface Answer {
  /** The bench and the question: `filter/file`. */
  readonly name: string;
  /** What was done, with its size. */
  readonly title: string;
  readonly subject: string;
  /** `speed`: more is better. `cost`: a time or an amount, less is better. */
  readonly ratio: 'speed' | 'cost';
  readonly ratios: readonly Ratio[];
}

export interface Results {
  /** Where it was measured. */
  readonly machine: string;
  readonly answers: readonly Answer[];
}

/** The new answers in the place of the old ones of the same name; new questions come last. */
export function merged(old: Results, fresh: Results): Results {
  const byName = new Map(old.answers.map((answer) => [answer.name, answer]));
  for (const answer of fresh.answers) byName.set(answer.name, answer);
  return { machine: fresh.machine, answers: [...byName.values()] };
}

/** A ratio in words: "1.03 x its speed". */
export function inWords({ ratio }: Answer, { median }: Ratio): string {
  const figure = median < 10 ? median.toFixed(2) : median.toFixed(median < 20 ? 1 : 0);
  return `${figure} x its ${ratio === 'speed' ? 'speed' : 'time'}`;
}
