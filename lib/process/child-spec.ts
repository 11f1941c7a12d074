import type { Writable } from 'node:stream';

/** What is to be run, and how: all that a spawn needs, checked and with its defaults. */
export interface ChildSpec {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string | undefined;
  /** The child's whole environment. */
  readonly env: NodeJS.ProcessEnv;
  readonly argv0: string | undefined;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  /** A number: a descriptor of ours, of which the child gets a copy. */
  readonly stdin: 'pipe' | 'ignore' | number;
  /** A stream: the stdin of another child, of which this one gets a copy. */
  readonly stdout: 'pipe' | 'ignore' | number | Writable;
  readonly stderr: 'pipe' | 'inherit' | 'ignore';
  readonly killSignal: NodeJS.Signals;
  /** The child leads a process group of its own, and every signal goes to the whole group. */
  readonly killTree: boolean;
}
