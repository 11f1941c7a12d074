/**
 * Names what is to blame for a spawn that failed. The operating system says ENOENT for a missing program, a missing
 * directory and a missing `#!` interpreter alike (nodejs/node#11520), so we look.
 */
import { constants } from 'node:fs';
import { access, open, stat } from 'node:fs/promises';
import { delimiter, isAbsolute, join, resolve } from 'node:path';
import { getSystemErrorMap } from 'node:util';
import { SpawnError, shortened } from '../errors';
import { shown } from '../options';
import type { ChildSpec } from './child-spec';

/** Linux reads at most this much of a `#!` line (BINPRM_BUF_SIZE). */
const SHEBANG_BYTES = 256;

/** For `new PortDuplex('gzip -d')`. The arguments are not repeated: secrets live there. */
const ARGUMENTS_HINT = "if it is followed by arguments, they go into the second parameter, as in ('gzip', ['-d'])";

/** Never rejects: where nothing can be found out it says what the system says. */
export async function explainSpawnFailure(spec: ChildSpec, cause: unknown): Promise<SpawnError> {
  const { code = '', errno = 0, message } = cause as NodeJS.ErrnoException;
  // Node's error carries the arguments; secrets live there, so they are kept out of logs.
  Object.defineProperty(cause, 'spawnargs', { enumerable: false });
  const culprit = await findCulprit(spec, code).catch(() => undefined);
  const words = culprit ?? getSystemErrorMap().get(errno)?.[1] ?? message;
  const { command, cwd } = spec;
  return new SpawnError({ command, cwd, culprit: `${words} (${code})`, cause });
}

async function findCulprit(spec: ChildSpec, code: string): Promise<string | undefined> {
  switch (code) {
    case 'ENOENT':
    case 'EACCES':
    case 'ENOTDIR':
      return (await blameDirectory(spec)) ?? (await blameProgram(spec, code));
    case 'ENAMETOOLONG':
    case 'ELOOP':
      return blameDirectory(spec);
    case 'E2BIG':
      return blameSize(spec);
    case 'EMFILE':
    case 'ENFILE':
      return `no descriptor is left: the limit of open files of ${code === 'EMFILE' ? 'this process' : 'this system'} is reached`;
    case 'EAGAIN':
      return 'the limit of processes is reached';
    case 'EPERM':
      if (spec.uid === undefined && spec.gid === undefined) return undefined;
      return `this process may not become uid ${spec.uid ?? 'unchanged'}, gid ${spec.gid ?? 'unchanged'}`;
    default:
      return undefined;
  }
}

async function blameDirectory({ cwd }: ChildSpec): Promise<string | undefined> {
  if (cwd === undefined) return undefined;
  const problem = await stat(cwd).then(
    async (found) => {
      if (!found.isDirectory()) return 'is no directory';
      return (await isAllowed(cwd, constants.X_OK)) ? undefined : 'may not be entered';
    },
    (error: unknown) => ((error as NodeJS.ErrnoException).code === 'ENOENT' ? 'does not exist' : 'cannot be reached'),
  );
  return problem && `its working directory ${problem}: ${shortened(cwd)}`;
}

async function blameProgram(spec: ChildSpec, code: string): Promise<string> {
  const file = await findProgram(spec);
  if (file === undefined) {
    if (code === 'EACCES') return 'a directory on the way to it may not be entered';
    if (/\s/.test(spec.command)) return `there is no program of that name; ${ARGUMENTS_HINT}`;
    if (spec.command.includes('/')) return 'there is no such file';
    if (spec.env.PATH === undefined) return 'its environment has no PATH to find it on';
    return 'there is no program of that name on the PATH';
  }
  if ((await stat(file)).isDirectory()) return `${file} is a directory`;
  if (!(await isAllowed(file, constants.X_OK))) return `${file} is not executable`;
  const interpreter = await readInterpreter(file);
  if (interpreter === undefined) return `${file} exists, but the loader it asks for does not`;
  if (code === 'ENOENT') return `${file} exists, but its interpreter ${shown(interpreter)} does not`;
  return `${file} is executable, but its interpreter ${shown(interpreter)} is not`;
}

/** The first file that the search of execvp(3) would have met. */
async function findProgram({ command, cwd = '.', env }: ChildSpec): Promise<string | undefined> {
  const folders = command.includes('/') ? [''] : (env.PATH?.split(delimiter) ?? []);
  for (const folder of folders) {
    const file = join(folder, command);
    const path = isAbsolute(file) ? file : resolve(cwd, file);
    if (await isAllowed(path, constants.F_OK)) return path;
  }
  return undefined;
}

async function readInterpreter(file: string): Promise<string | undefined> {
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(SHEBANG_BYTES), 0, SHEBANG_BYTES, 0);
    return /^#![ \t]*([^ \t\n]+)/.exec(buffer.toString('utf8', 0, bytesRead))?.[1];
  } finally {
    await handle.close();
  }
}

function blameSize({ args, env }: ChildSpec): string {
  const variables = Object.entries(env).flatMap(([key, value]) => (value === undefined ? [] : `${key}=${value}`));
  const [arg, variable] = [measure(args), measure(variables)];
  const longest = `the longest, args[${arg.index}], has ${arg.longest}`;
  const count = args.length === 0 ? 'no arguments' : `${args.length} arguments of ${arg.total} bytes (${longest})`;
  return (
    `${count} and an ` +
    `environment of ${variable.total} bytes (the longest variable has ${variable.longest}) are more than the system takes`
  );
}

function measure(texts: readonly string[]): { total: number; longest: number; index: number } {
  const result = { total: 0, longest: 0, index: 0 };
  for (const [index, text] of texts.entries()) {
    const bytes = Buffer.byteLength(text);
    // the system ends each with a NUL
    result.total += bytes + 1;
    if (bytes > result.longest) Object.assign(result, { longest: bytes, index });
  }
  return result;
}

async function isAllowed(path: string, mode: number): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  );
}
