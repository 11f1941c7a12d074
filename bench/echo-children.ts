/**
 * The two children that echo frames in the benches. `cat` takes what has come by one read and answers it by one write, however
 * many messages that are. The echo answers each message by a write of its own, as programs do that work on their messages.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { Work } from './harness';

export interface EchoChild {
  /** As it reads in the title of a question. */
  readonly title: string;
  /** Before the first turn; once for all contenders. */
  readonly prepare: (work: Work) => Promise<void>;
  readonly program: (work: Work) => readonly [command: string, args: readonly string[]];
}

/** npm runs a script in the package's directory; this file is compiled into another. */
const programs = resolve('spec/programs');

export const batches: EchoChild = {
  title: '`cat`, which answers in batches',
  prepare: async () => {},
  program: () => ['cat', []],
};

/** In C where there is a compiler, else for Node, which is slower by far: no figures of the two may be compared. */
export const messageByMessage: EchoChild = {
  title: 'an echo that answers message by message',
  async prepare({ folder }) {
    try {
      await promisify(execFile)('cc', ['-O2', '-o', join(folder, 'echo'), join(programs, 'echo.c')]);
    } catch {
      console.log('  no C compiler works here: the echo is spec/programs/echo.mjs');
    }
  },
  program({ folder }) {
    const compiled = join(folder, 'echo');
    return existsSync(compiled) ? [compiled, []] : [process.execPath, [join(programs, 'echo.mjs')]];
  },
};
