/**
 * Names what is to blame for a spawn that failed. The operating system says ENOENT for a missing program, a missing
 * directory and a missing `#!` interpreter alike (nodejs/node#11520), so we look.
 */
import { constants } from 'node:fs';
import { access, open, stat } from 'node:fs/promises';
import { delimiter, isAbsolute, join, resolve } from 'node:path';
import { SpawnError } from '../errors';
import { shown } from '../options';
import type { ChildSpec } from './child-spec';

/** Linux reads at most this much of a `#!` line (BINPRM_BUF_SIZE). */
const SHEBANG_BYTES = 256;

export async function explainSpawnFailure(spec: ChildSpec, cause: unknown): Promise<SpawnError> {
  const code = String((cause as NodeJS.ErrnoException).code);
  // Node's error carries the arguments; secrets live there, so they are kept out of logs.
  Object.defineProperty(cause, 'spawnargs', { enumerable: false });
  const culprit = await findCulprit(spec, code).catch(() => undefined);
  const { command, cwd } = spec;
  return new SpawnError({ command, cwd, culprit: `${culprit ?? (cause as Error).message} (${code})`, cause });
}

async function findCulprit(spec: ChildSpec, code: string): Promise<string | undefined> {
  switch (code) {
    case 'ENOENT':
    case 'EACCES':
    case 'ENOTDIR':
      return (await blameDirectory(spec)) ?? (await blameProgram(spec, code));
    case 'E2BIG':
      return blameSize(spec);
    case 'EMFILE':
    case 'ENFILE':
      return `no descriptor is left: the limit of open files of ${code === 'EMFILE' ? 'this process' : 'this system'} is reached`;
    case 'EAGAIN':
      return 'the limit of processes is reached';
    case 'EPERM':
      return `this process may not become uid ${spec.uid ?? 'unchanged'}, gid ${spec.gid ?? 'unchanged'}`;
    default:
      return undefined;
  }
}

async function blameDirectory({ cwd }: ChildSpec): Promise<string | undefined> {
  if (cwd === undefined) return undefined;
  const found = await stat(cwd).catch(() => undefined);
  if (found === undefined) return `its working directory does not exist: ${cwd}`;
  if (!found.isDirectory()) return `its working directory is no directory: ${cwd}`;
  const mayEnter = await isAllowed(cwd, constants.X_OK);
  return mayEnter ? undefined : `its working directory may not be entered: ${cwd}`;
}

async function blameProgram(spec: ChildSpec, code: string): Promise<string> {
  const file = await findProgram(spec);
  if (file === undefined) {
    return spec.command.includes('/') ? 'there is no such file' : 'there is no program of that name on the PATH';
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
  const folders = command.includes('/') ? [''] : (env.PATH ?? '/usr/local/bin:/bin:/usr/bin').split(delimiter);
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
  const sizes = args.map((arg) => Buffer.byteLength(arg));
  const longest = sizes.reduce((most, size) => Math.max(most, size), 0);
  const argsBytes = sizes.reduce((sum, size) => sum + size + 1, 0);
  const envBytes = Object.entries(env).reduce((sum, [key, value = '']) => sum + Buffer.byteLength(key + value) + 2, 0);
  return (
    `${args.length} arguments of ${argsBytes} bytes (the longest is args[${sizes.indexOf(longest)}] with ${longest}) ` +
    `and an environment of ${envBytes} bytes are more than the system takes`
  );
}

async function isAllowed(path: string, mode: number): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  );
}
