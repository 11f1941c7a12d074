/** Runs of mocha of their own, over a file of fixtures, since what fails there is to fail nothing here. */
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { moduleOf } from './compiled-tree.cjs';

type Titles = readonly { readonly title: string }[];

export interface Report {
  readonly passes: Titles;
  readonly pending: Titles;
  readonly failures: readonly { readonly title: string; readonly err: { readonly message: string } }[];
}

/** Mocha without its command line, which takes most of the time of its start. */
const RUN = `
  const { Mocha } = require(${JSON.stringify(require.resolve('mocha'))});
  const [file, hooks] = process.argv.slice(1);
  const mocha = new Mocha({ reporter: 'json', rootHooks: hooks && require(hooks).mochaHooks });
  mocha.addFile(file);
  mocha.run((failures) => (process.exitCode = failures));
`;

/** The compiled module, where a run starts without a compiler. */
function module(name: string): string {
  return moduleOf(path.join(__dirname, `${name}.ts`));
}

export function runFixtures(name: string, env: NodeJS.ProcessEnv, hooks?: string): Promise<Report> {
  // what fixtures and hooks load of this folder
  for (const file of readdirSync(__dirname)) {
    if (/^[a-z-]+\.ts$/.test(file)) module(path.basename(file, '.ts'));
  }
  const args = ['-e', RUN, module(`fixtures/${name}`), ...(hooks === undefined ? [] : [module(hooks)])];
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, { env: { ...process.env, ...env } }, (error, stdout, stderr) => {
      try {
        resolve(JSON.parse(stdout) as Report);
      } catch {
        reject(new Error(`no report from mocha: ${stderr}`, { cause: error }));
      }
    });
  });
}
