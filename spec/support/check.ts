/** What the specs of `rexport check` share. */
import type { Row } from '../../check/check';
import type { Program } from '../../check/conversation';
import type { FrameFormat } from '../../lib';
import { startProgram } from './programs';

/** What a run of the command left with, and printed. */
export interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

interface OrderedCommand {
  /** The words behind `rexport`. */
  readonly command: readonly string[];
}

interface OrderedCheck {
  readonly program: Omit<Program, 'wire'>;
  readonly format: FrameFormat;
}

export type Ordered = OrderedCommand | OrderedCheck;

/** The checks of a file of specs, which all run at once, in another process. */
export class Checks {
  readonly #orders: Ordered[] = [];
  #found: unknown[] | undefined;

  /** Orders a run of the command, which is read when it is over. */
  command(...command: string[]): () => Said {
    return this.#order<Said>({ command });
  }

  check(program: Omit<Program, 'wire'>, format: FrameFormat): () => readonly Row[] {
    return this.#order<Row[]>({ program, format });
  }

  async run(): Promise<void> {
    const { process: child, ended } = startProgram('checks');
    child.stdin?.end(JSON.stringify(this.#orders));
    const { code, stdout, stderr } = await ended;
    if (code !== 0 || stderr !== '') throw new Error(`expected the checks to run, got code ${code}: ${stderr}`);
    this.#found = JSON.parse(stdout) as unknown[];
  }

  #order<T>(order: Ordered): () => T {
    const number = this.#orders.push(order) - 1;
    return () => {
      if (this.#found === undefined) throw new Error('expected the checks to have run');
      return this.#found[number] as T;
    };
  }
}

export function failures(rows: readonly Row[]): string[] {
  return rows.flatMap((row) => (row.result === 'failed' ? [`${row.name}: ${row.diagnosis}`] : []));
}
