/**
 * Compiles modules that import `rexport`, with the settings of this repository: `compile-blocks.js REPOSITORY ENTRIES`, where
 * ENTRIES is JSON of each specifier and its file of lib. Reads sources by name from stdin, and prints a result for each, all as JSON.
 * A program, since the compiler would stay in the process of the specs.
 */
import path from 'node:path';
import { text } from 'node:stream/consumers';
import ts from 'typescript';
import type { CompiledBlock } from '../support/block-modules';

const [repository = '', entries = ''] = process.argv.slice(2);

function compile(sources: ReadonlyMap<string, string>): Record<string, CompiledBlock> {
  const { options } = ts.parseJsonConfigFileContent(
    ts.readConfigFile(path.join(repository, 'tsconfig.json'), (file) => ts.sys.readFile(file)).config,
    // its sources are not asked for
    { ...ts.sys, readDirectory: () => [] },
    repository,
    {
      types: ['node'],
      incremental: false,
      sourceMap: false,
      inlineSources: false,
      paths: JSON.parse(entries) as Record<string, string[]>,
    },
  );
  const files = new Map([...sources].map(([name, code]) => [path.join(repository, `${name}.mts`), code]));
  const host = ts.createCompilerHost(options);
  const original = { ...host };
  // as `tsc` itself does
  host.jsDocParsingMode = ts.JSDocParsingMode.ParseForTypeErrors;
  host.fileExists = (file) => files.has(file) || original.fileExists(file);
  host.readFile = (file) => files.get(file) ?? original.readFile(file);
  host.getSourceFile = (file, language, ...rest) => {
    const code = files.get(file);
    if (code !== undefined) return ts.createSourceFile(file, code, language);
    return original.getSourceFile(file, language, ...rest);
  };
  const program = ts.createProgram([...files.keys()], options, host);
  return Object.fromEntries(
    [...files].map(([file, code]) => {
      const source = program.getSourceFile(file);
      let module = '';
      program.emit(source, (_file, emitted) => (module = emitted));
      const faults = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map(
        ({ messageText, start = 0 }) => ({
          line: code.slice(0, start).split('\n').length,
          message: ts.flattenDiagnosticMessageText(messageText, '\n'),
        }),
      );
      return [path.basename(file, '.mts'), { faults, module }];
    }),
  );
}

void text(process.stdin).then((sources) => {
  const byName = new Map(Object.entries(JSON.parse(sources) as Record<string, string>));
  console.log(JSON.stringify(compile(byName)));
});
