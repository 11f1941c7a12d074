/**
 * Blocks of pages as modules, with what `tsc` says of them: one compilation for a file of specs, under node_modules/.cache,
 * where `tsc` keeps what it knows already.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import manifest from '../../package.json';
import { repository, type Block } from './pages';

export interface CompiledBlock {
  /** Each at its line in the block, counted from 1. */
  readonly faults: readonly { readonly line: number; readonly message: string }[];
  readonly module: string;
}

/** What package.json exports, as files of lib without their ending. */
export const entries = Object.fromEntries(
  Object.entries(manifest.exports).flatMap(([name, target]) =>
    typeof target === 'string' ? [] : [[name, target.default.replace(/^\.\/dist\/lib\/(.*)\.js$/, '$1')]],
  ),
);
/** Longer than any machine takes. */
const MOST_MS = 120_000;

/** The name of its module. */
export function moduleName({ file, line }: Block): string {
  return `${path.basename(file, '.md')}-line-${line}`;
}

/** By the name of the module. Files of specs that run at once have other first pages, and so other folders. */
export async function compiledBlocks(blocks: readonly Block[]): Promise<Record<string, CompiledBlock>> {
  const folder = path.join(repository, 'node_modules', '.cache', 'blocks', path.basename(blocks[0]!.file, '.md'));
  writeSources(folder, new Map(blocks.map((block) => [`${moduleName(block)}.mts`, block.code])));
  const faults = faultsIn(await compile(folder));
  return Object.fromEntries(
    blocks.map((block) => {
      const name = moduleName(block);
      const module = readFileSync(path.join(folder, 'made', path.relative(repository, folder), `${name}.mjs`), 'utf8');
      return [name, { faults: faults.get(`${name}.mts`) ?? [], module }];
    }),
  );
}

function writeSources(folder: string, sources: ReadonlyMap<string, string>): void {
  mkdirSync(folder, { recursive: true });
  for (const file of readdirSync(folder))
    if (file.endsWith('.mts') && !sources.has(file)) rmSync(path.join(folder, file));
  for (const [file, code] of sources) writeFileSync(path.join(folder, file), code);
  const up = path.relative(folder, repository);
  const paths = Object.fromEntries(
    Object.entries(entries).map(([name, file]) => [path.posix.join('rexport', name), [`${up}/lib/${file}.ts`]]),
  );
  const compilerOptions = {
    types: ['node'],
    rootDir: up,
    outDir: 'made',
    tsBuildInfoFile: 'made/.tsbuildinfo',
    sourceMap: false,
    inlineSources: false,
    paths,
  };
  const project = { extends: `${up}/tsconfig.json`, compilerOptions, include: [], files: [...sources.keys()] };
  writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify(project));
}

/** @returns what `tsc` prints, which is what is wrong with them */
function compile(folder: string): Promise<string> {
  const tsc = path.join(repository, 'node_modules', '.bin', 'tsc');
  return new Promise((resolve, reject) => {
    execFile(tsc, ['--pretty', 'false'], { cwd: folder, timeout: MOST_MS }, (error, stdout, stderr) => {
      // a line that begins so is of the project, not of a file
      const isOfFiles = error?.killed !== true && stdout !== '' && !/^error TS/m.test(stdout);
      if (error === null || isOfFiles) resolve(stdout);
      else reject(new Error(`expected the blocks to be compiled, got ${error.message}: ${stdout}${stderr}`));
    });
  });
}

/** `x.mts(3,7): error TS2322: Type ...`, of which a message of several lines has the next ones indented. */
function faultsIn(printed: string): Map<string, { line: number; message: string }[]> {
  const faults = new Map<string, { line: number; message: string }[]>();
  for (const [, file = '', line, message = ''] of printed.matchAll(
    /^(\S.*?)\((\d+),\d+\): error TS\d+: (.*(?:\n .*)*)/gm,
  )) {
    faults.set(file, [...(faults.get(file) ?? []), { line: Number(line), message }]);
  }
  return faults;
}
