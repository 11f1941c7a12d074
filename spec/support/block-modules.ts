/**
 * The blocks of all pages as modules, with what the checker says of them: one compilation for all specs. Its result is kept
 * under node_modules/.cache until something changes that it depends on.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import manifest from '../../package.json';
import { blocksOf, pages, repository, type Block } from './pages';
import { startProgram } from './programs';

export interface CompiledBlock {
  /** Each at its line in the block, counted from 1. */
  readonly faults: readonly { readonly line: number; readonly message: string }[];
  readonly module: string;
}

type Compiled = Record<string, CompiledBlock>;

/** What package.json exports, as files of lib without their ending. */
export const entries = Object.fromEntries(
  Object.entries(manifest.exports).flatMap(([name, target]) =>
    typeof target === 'string' ? [] : [[name, target.default.replace(/^\.\/dist\/lib\/(.*)\.js$/, '$1')]],
  ),
);
const kept = path.join(repository, 'node_modules', '.cache', 'blocks.json');

/** The name of its module. */
export function moduleName({ file, line }: Block): string {
  return `${path.basename(file, '.md')}-line-${line}`;
}

/** By the name of the module. */
export async function compiledBlocks(): Promise<Compiled> {
  const blocks = pages.flatMap(blocksOf).filter(({ language }) => language === 'ts');
  const sources = JSON.stringify(Object.fromEntries(blocks.map((block) => [moduleName(block), block.code])));
  const key = keyOf(sources);
  const known = readKept();
  if (known?.key === key) return known.compiled;
  const compiled = await compile(sources);
  const next = `${kept}.${process.pid}`;
  mkdirSync(path.dirname(kept), { recursive: true });
  writeFileSync(next, JSON.stringify({ key, compiled }));
  renameSync(next, kept);
  return compiled;
}

function readKept(): { readonly key: string; readonly compiled: Compiled } | undefined {
  try {
    return JSON.parse(readFileSync(kept, 'utf8')) as { key: string; compiled: Compiled };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** The lockfile stands for the compiler and the types of others. */
function keyOf(sources: string): string {
  const hash = createHash('sha256').update(sources);
  const lib = readdirSync(path.join(repository, 'lib'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .sort()
    .map((file) => path.join('lib', file));
  for (const file of [
    ...lib,
    'package.json',
    'package-lock.json',
    'tsconfig.json',
    'spec/programs/compile-blocks.ts',
  ]) {
    hash.update(`\0${file}\0`).update(readFileSync(path.join(repository, file)));
  }
  return hash.digest('hex');
}

async function compile(sources: string): Promise<Compiled> {
  const paths = Object.fromEntries(
    Object.entries(entries).map(([name, file]) => [
      path.posix.join('rexport', name),
      [path.join(repository, 'lib', `${file}.ts`)],
    ]),
  );
  const args = [repository, JSON.stringify(paths)];
  // what the compiler makes lives on: to copy it out of small semi-spaces would take a fifth of its time
  const env = { NODE_OPTIONS: `${process.env['NODE_OPTIONS'] ?? ''} --max-semi-space-size=64` };
  const { process: child, ended } = startProgram('compile-blocks', args, { env });
  child.stdin?.end(sources);
  const { code, stdout, stderr } = await ended;
  if (code !== 0) throw new Error(`expected the blocks to be compiled, got code ${code}: ${stderr}`);
  return JSON.parse(stdout) as Compiled;
}
