/**
 * For `mocha --require`, in front of ts-node: what ts-node asks of a compiler before it loads a module, which here comes from the
 * compiled tree. TypeScript itself would take 0.3 s and 60 MB of each worker, out of which every spec forks its children;
 * compiled-tree.cjs loads it where a module has to be compiled.
 */
const { readFileSync, statSync } = require('node:fs');
const path = require('node:path');
const { version } = require('typescript/package.json');

process.env.TS_NODE_COMPILER ??= __filename;

function fileExists(file) {
  return statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;
}

/** It compares them with those of the settings. */
function named(...names) {
  return Object.fromEntries(names.map((name) => [name, name.toLowerCase()]));
}

module.exports = {
  version,
  sys: {
    fileExists,
    readFile: (file) => readFileSync(file, 'utf8'),
    newLine: '\n',
    useCaseSensitiveFileNames: process.platform === 'linux',
  },
  ScriptTarget: named('ES5', 'ES2018'),
  ModuleKind: named('CommonJS', 'ES2015', 'ES2020', 'ES2022', 'ESNext', 'Node16', 'NodeNext'),
  JsxEmit: named('Preserve'),
  findConfigFile: () => path.join(__dirname, '..', '..', 'tsconfig.json'),
  readConfigFile: (file, read) => ({ config: JSON.parse(read(file)) }),
  parseJsonConfigFileContent: ({ compilerOptions }) => ({ options: compilerOptions, errors: [], fileNames: [] }),
  createGetCanonicalFileName: () => (name) => name,
  // of the compiler that it makes, and has no use for beside a transpiler
  fixupCompilerOptions: (options) => ({ ...options }),
  getDefaultCompilerOptions: () => ({}),
  transpileOptionValueCompilerOptions: [],
  getNewLineCharacter: () => '\n',
};
