/**
 * The compiled tree: what `tsc` leaves under node_modules/.cache while it checks the types. ts-node takes its modules from
 * there (tsconfig.json names this file as its transpiler), and the programs of spec/programs run there, so every source is
 * compiled once. A file that is missing there, or was made from another text, is compiled anew and kept.
 */
const { mkdirSync, readFileSync, renameSync, writeFileSync } = require('node:fs');
const path = require('node:path');

const repository = path.join(__dirname, '..', '..');
const folder = path.join(repository, 'node_modules', '.cache', 'compiled');

/** Where the tree has the module of a source. */
function placeOf(source) {
  return path.join(folder, path.relative(repository, source).replace(/\.ts$/, '.js'));
}

/** The module and its source map, whose copy of the source says whether they are of this text. */
function compiled(source, text) {
  const place = placeOf(source);
  try {
    const map = readFileSync(`${place}.map`, 'utf8');
    if (JSON.parse(map).sourcesContent[0] === text)
      return { outputText: readFileSync(place, 'utf8'), sourceMapText: map };
  } catch (error) {
    if (error.code !== 'ENOENT' && !(error instanceof SyntaxError)) throw error;
  }
  return compile(source, text);
}

function compile(source, text) {
  const ts = require('typescript');
  const { config } = ts.readConfigFile(path.join(repository, 'tsconfig.json'), ts.sys.readFile);
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, repository);
  const made = ts.transpileModule(text, { compilerOptions: options, fileName: source });
  const place = placeOf(source);
  mkdirSync(path.dirname(place), { recursive: true });
  // the map last, since it is what vouches for the module
  replace(place, made.outputText);
  replace(`${place}.map`, made.sourceMapText);
  return made;
}

/** A reader meanwhile has the old file or the new one, whole. */
function replace(file, text) {
  const next = `${file}.${process.pid}`;
  writeFileSync(next, text);
  renameSync(next, file);
}

/** ts-node asks for this. */
exports.create = () => ({ transpile: (text, { fileName }) => compiled(fileName, text) });

/** @returns the path of the source's module, which is there and up to date */
exports.moduleOf = (source) => {
  compiled(source, readFileSync(source, 'utf8'));
  return placeOf(source);
};
