/** Runs the programs of spec/programs, each in a Node of its own: in the compiled tree, where one starts in the time of a bare Node. */
import { spawn, type ChildProcess } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { moduleOf } from './compiled-tree.cjs';

const repository = path.join(__dirname, '..', '..');
const rooms = ['lib', 'check', 'examples', 'spec/programs'];
/** What programs load of the specs' support. */
const shared = ['memory', 'random', 'running-spec', 'stress'];
let isThere = false;

/** Where the compiled program lies, with all that it may load. */
export function programPath(name: string): string {
  return compiledPath(`spec/programs/${name}.ts`);
}

/** Where a source of lib, check, examples or spec/programs lies compiled, with all of these, which it may load. */
export function compiledPath(source: string): string {
  if (!isThere) {
    // what programs have in common with specs
    for (const name of shared) moduleOf(path.join(repository, 'spec', 'support', `${name}.ts`));
    for (const room of rooms) {
      for (const file of readdirSync(path.join(repository, room), { recursive: true, encoding: 'utf8' })) {
        if (file.endsWith('.ts')) moduleOf(path.join(repository, room, file));
      }
    }
    isThere = true;
  }
  return moduleOf(path.join(repository, source));
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly process: ChildProcess;
  readonly ended: Promise<Ended>;
}

export interface Options {
  readonly env?: NodeJS.ProcessEnv;
  /** Shell commands that come before the program: a limit, a umask. */
  readonly prelude?: string;
}

export function startProgram(
  name: string,
  args: readonly string[] = [],
  { env = {}, prelude = '' }: Options = {},
): Running {
  const script = `${prelude}\nexec "$@"`;
  const child = spawn('sh', ['-c', script, 'sh', process.execPath, programPath(name), ...args], {
    env: { ...process.env, ...env },
  });
  const left = new Promise<Pick<Ended, 'code' | 'signal'>>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  const ended = Promise.all([left, text(child.stdout), text(child.stderr)]).then(([status, stdout, stderr]) => ({
    ...status,
    stdout,
    stderr,
  }));
  return { process: child, ended };
}

/** What the program prints, as JSON; a program that fails, or says anything on stderr, is an error. */
export async function askProgram<T>(name: string, ...rest: [args?: readonly string[], options?: Options]): Promise<T> {
  const { process: child, ended } = startProgram(name, ...rest);
  child.stdin?.end();
  const { code, signal, stdout, stderr } = await ended;
  if (code === 0 && stderr === '') return JSON.parse(stdout) as T;
  throw new Error(`${[name, ...(rest[0] ?? [])].join(' ')} ended with ${signal ?? code}: ${stderr}`);
}
