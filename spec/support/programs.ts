/**
 * Runs the programs of spec/programs, each in a Node of its own. lib, they and examples/children are compiled once,
 * without a look at the types, into a folder outside the repository: so one starts in the time of a bare Node, and
 * several can run at a time.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import ts from 'typescript';

const repository = path.join(__dirname, '..', '..');
let compiled: string | undefined;

function compile(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'rexport-programs-'));
  symlinkSync(path.join(repository, 'node_modules'), path.join(folder, 'node_modules'));
  const compilerOptions = { module: ts.ModuleKind.Node20, target: ts.ScriptTarget.ES2022, inlineSourceMap: true };
  for (const room of ['lib', 'check', path.join('spec', 'programs'), path.join('examples', 'children')]) {
    for (const name of readdirSync(path.join(repository, room), { recursive: true, encoding: 'utf8' })) {
      if (!name.endsWith('.ts')) continue;
      const source = path.join(repository, room, name);
      const target = path.join(folder, room, name.replace(/ts$/, 'js'));
      const { outputText } = ts.transpileModule(readFileSync(source, 'utf8'), { compilerOptions, fileName: source });
      mkdirSync(path.dirname(target), { recursive: true });
      writeFileSync(target, outputText);
    }
  }
  return folder;
}

// not in a hook of mocha: where files run in parallel, one module serves several of them
process.once('exit', () => {
  if (compiled !== undefined) rmSync(compiled, { recursive: true });
});

/** Where the compiled program lies. */
export function programPath(name: string): string {
  compiled ??= compile();
  return path.join(compiled, 'spec', 'programs', `${name}.js`);
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
