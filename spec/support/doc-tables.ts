import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { repository } from './pages';

const PROGRAM = `
  const { readFileSync } = require('node:fs');
  const { withTables } = require('./scripts/doc-tables');
  const pages = process.argv.slice(1).map((file) => [file, withTables(readFileSync(file, 'utf8'))]);
  console.log(JSON.stringify(Object.fromEntries(pages)));
`;

/** The pages with the tables that `npm run docs` writes, made in another process: the compiler would stay in this one. */
export async function withGeneratedTables(files: readonly string[]): Promise<Record<string, string>> {
  if (files.length === 0) return {};
  const args = ['--require', 'ts-node/register', '--eval', PROGRAM, '--', ...files];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: repository, maxBuffer: 1 << 24 });
  return JSON.parse(stdout) as Record<string, string>;
}
