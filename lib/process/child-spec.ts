import type { Writable } from 'node:stream';

/** What the child does with one of its descriptors from 3 on: it reads what goes `in`. */
export type DescriptorUse = 'in' | 'out' | 'duplex';

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
  /** `'stdout'`: the same descriptor as its stdout. */
  readonly stderr: 'pipe' | 'inherit' | 'ignore' | 'stdout';
  /** By their numbers, from 3 on. */
  readonly descriptors: Readonly<Record<number, DescriptorUse>>;
  /**
   * `'fd3'`: what is here called stdin and stdout are the child's descriptors 3 and 4; it prints, on 1 and on 2, to its
   * stderr, and has nothing to read on 0.
   */
  readonly channel: 'stdio' | 'fd3';
  readonly killSignal: NodeJS.Signals;
  /** The child leads a process group of its own, and every signal goes to the whole group. */
  readonly killTree: boolean;
}
