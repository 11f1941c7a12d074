/** Runs of mocha of their own, over files of fixtures, since what fails there is to fail nothing here. */
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

/** Mocha without its command line, which takes most of the time of its start; one run for each file, as a worker has them. */
const RUN = `
  const { Mocha } = require(${JSON.stringify(require.resolve('mocha'))});
  const [hooks, ...files] = process.argv.slice(1);
  const rootHooks = hooks === '' ? undefined : require(hooks).mochaHooks;
  (async () => {
    const report = { passes: [], pending: [], failures: [] };
    for (const file of files) {
      const mocha = new Mocha({ reporter: 'json', reporterOptions: { output: '/dev/null' }, rootHooks });
      mocha.addFile(file);
      let runner;
      await new Promise((resolve) => (runner = mocha.run(resolve)));
      for (const outcome of Object.keys(report)) report[outcome].push(...runner.testResults[outcome]);
    }
    console.log(JSON.stringify(report));
  })();
`;

/** The compiled module, where a run starts without a compiler. */
function module(name: string): string {
  return moduleOf(path.join(__dirname, `${name}.ts`));
}

export function runFixtures(names: readonly string[], env: NodeJS.ProcessEnv, hooks?: string): Promise<Report> {
  // what fixtures and hooks load of this folder
  for (const file of readdirSync(__dirname)) {
    if (/^[a-z-]+\.ts$/.test(file)) module(path.basename(file, '.ts'));
  }
  const files = names.map((name) => module(`fixtures/${name}`));
  const args = ['-e', RUN, hooks === undefined ? '' : module(hooks), ...files];
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
