/**
 * `resolved.js REPOSITORY`: to which file TypeScript resolves each entry of the installed package, by each of its ways. Prints
 * that as JSON. A program, since the compiler would stay in the process of the specs.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';

const repository = process.argv[2]!;
const installed = '/project/node_modules/rexport/';
const { exports: entries } = JSON.parse(readFileSync(path.join(repository, 'package.json'), 'utf8')) as {
  exports: Record<string, object | string>;
};
const ways: Record<string, ts.CompilerOptions> = {
  node10: { moduleResolution: ts.ModuleResolutionKind.Node10, module: ts.ModuleKind.CommonJS },
  node16: { moduleResolution: ts.ModuleResolutionKind.Node16, module: ts.ModuleKind.Node16 },
  nodenext: { moduleResolution: ts.ModuleResolutionKind.NodeNext, module: ts.ModuleKind.NodeNext },
  bundler: { moduleResolution: ts.ModuleResolutionKind.Bundler, module: ts.ModuleKind.ESNext },
};

// As the build lays it out: dist has a declaration for each source.
function onDisk(file: string): string | undefined {
  if (!file.startsWith(installed)) return undefined;
  return path.join(repository, file.slice(installed.length).replace(/^dist\/(.*)\.d\.ts$/, '$1.ts'));
}

const host: ts.ModuleResolutionHost = {
  fileExists: (file) => onDisk(file) !== undefined && ts.sys.fileExists(onDisk(file)!),
  readFile: (file) => (onDisk(file) === undefined ? undefined : ts.sys.readFile(onDisk(file)!)),
};

const resolved: Record<string, Record<string, string | undefined>> = {};
for (const [name, target] of Object.entries(entries)) {
  if (typeof target === 'string') continue;
  resolved[name] = {};
  for (const [way, options] of Object.entries(ways)) {
    const { resolvedModule } = ts.resolveModuleName(
      path.posix.join('rexport', name),
      '/project/index.ts',
      options,
      host,
    );
    const file = resolvedModule?.resolvedFileName;
    resolved[name][way] = file?.replace(installed, './');
  }
}
console.log(JSON.stringify(resolved));
