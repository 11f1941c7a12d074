/**
 * The blocks of README and docs as a user of the package would have them: modules in a project where `rexport` is
 * installed. One compilation checks the types of all of them, with this repository's settings.
 */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import ts from 'typescript';
import manifest from '../../package.json';
import { programPath } from './programs';
import { repository, type Block } from './pages';

export interface Run {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface StartedBlock {
  readonly child: ChildProcessByStdio<null, Readable, Readable>;
  readonly run: Promise<Run>;
}

/** What package.json exports, as files of lib without their ending. */
const entries = Object.fromEntries(
  Object.entries(manifest.exports).flatMap(([name, target]) =>
    typeof target === 'string' ? [] : [[name, target.default.replace(/^\.\/dist\/lib\/(.*)\.js$/, '$1')]],
  ),
);
const log = `12:00:01 INFO start
12:00:02 ERROR disk full
12:00:03 INFO disk freed
12:00:04 ERROR disk full
12:00:05 INFO end
`;

export class PagesProject {
  /** What the checker says, by block. */
  readonly faults = new Map<Block, string[]>();
  readonly #folder = mkdtempSync(path.join(tmpdir(), 'rexport-docs-'));

  constructor(blocks: readonly Block[]) {
    const modules = path.join(this.#folder, 'node_modules');
    mkdirSync(path.join(modules, 'rexport'), { recursive: true });
    const exported = Object.fromEntries(Object.entries(entries).map(([name, file]) => [name, `./lib/${file}.js`]));
    writeFileSync(
      path.join(modules, 'rexport', 'package.json'),
      JSON.stringify({ name: 'rexport', exports: exported }),
    );
    // The programs have lib compiled already.
    symlinkSync(path.resolve(programPath('outcomes'), '../../../lib'), path.join(modules, 'rexport', 'lib'));
    for (const name of ['cli-progress', '@nats-io', 'amqplib']) {
      symlinkSync(path.join(repository, 'node_modules', name), path.join(modules, name));
    }
    this.#installCommand(path.join(modules, '.bin'));
    this.#compile(blocks.filter(({ language }) => language === 'ts'));
  }

  /** What `npx rexport` runs. */
  get command(): string {
    return path.join(this.#folder, 'node_modules', '.bin', 'rexport');
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true });
  }

  /** Runs the blocks, as many at a time as there are processors, each in a folder of its own with an `in.log`. */
  async run(blocks: readonly Block[], env: NodeJS.ProcessEnv = {}): Promise<Map<Block, Run>> {
    const runs = new Map<Block, Run>();
    const waiting = [...blocks];
    const work = async (): Promise<void> => {
      for (let block = waiting.shift(); block !== undefined; block = waiting.shift()) {
        runs.set(block, await this.#runOne(block, env));
      }
    };
    await Promise.all(Array.from({ length: availableParallelism() }, work));
    return runs;
  }

  /** A folder as a block is run in it, with an `in.log` and the model children. */
  newFolder(): string {
    const cwd = mkdtempSync(path.join(this.#folder, 'run-'));
    writeFileSync(path.join(cwd, 'in.log'), log);
    cpSync(path.join(repository, 'examples', 'children'), cwd, { recursive: true });
    copyFileSync(path.join(cwd, 'child.py'), path.join(cwd, 'worker.py'));
    return cwd;
  }

  /** Starts a block, for one that does not end by itself. */
  start(block: Block, env: NodeJS.ProcessEnv = {}, cwd = this.newFolder()): StartedBlock {
    const [command, ...args] =
      block.language === 'sh'
        ? ['sh', '-e', '-c', block.code]
        : [process.execPath, path.join(this.#folder, `${fileName(block)}.mjs`)];
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      // A block that never ends is a fault, and no reason to wait longer.
      timeout: 60_000,
    });
    const exit = new Promise<number | null>((resolve) => child.once('close', resolve));
    const run = Promise.all([exit, text(child.stdout), text(child.stderr)]).then(([exitCode, stdout, stderr]) => ({
      exitCode,
      stdout,
      stderr,
    }));
    return { child, run };
  }

  #runOne(block: Block, env: NodeJS.ProcessEnv): Promise<Run> {
    return this.start(block, env).run;
  }

  /** `npx rexport` finds it where npm would have put it. */
  #installCommand(folder: string): void {
    const command = path.join(folder, 'rexport');
    const program = path.resolve(programPath('outcomes'), '../../..', manifest.bin.rexport.replace(/^\.\/dist\//, ''));
    mkdirSync(folder);
    writeFileSync(command, `#!/bin/sh\nexec "${process.execPath}" "${program}" "$@"\n`);
    chmodSync(command, 0o755);
  }

  #compile(blocks: readonly Block[]): void {
    const { options } = ts.parseJsonConfigFileContent(
      ts.readConfigFile(path.join(repository, 'tsconfig.json'), (file) => readFileSync(file, 'utf8')).config,
      ts.sys,
      repository,
      {
        noEmit: false,
        outDir: this.#folder,
        paths: Object.fromEntries(
          Object.entries(entries).map(([name, file]) => [
            path.posix.join('rexport', name),
            [path.join(repository, 'lib', `${file}.ts`)],
          ]),
        ),
      },
    );
    const sources = new Map(blocks.map((block) => [path.join(repository, `${fileName(block)}.mts`), block]));
    const host = ts.createCompilerHost(options);
    const original = { ...host };
    host.fileExists = (file) => sources.has(file) || original.fileExists(file);
    host.readFile = (file) => sources.get(file)?.code ?? original.readFile(file);
    host.getSourceFile = (file, language, ...rest) => {
      const block = sources.get(file);
      return block ? ts.createSourceFile(file, block.code, language) : original.getSourceFile(file, language, ...rest);
    };
    const program = ts.createProgram([...sources.keys()], options, host);
    for (const [file, block] of sources) {
      const source = program.getSourceFile(file);
      program.emit(source, (target, module) => writeFileSync(target, module));
      const diagnostics = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)];
      this.faults.set(
        block,
        diagnostics.map(({ messageText, start = 0 }) => {
          const line = block.line + block.code.slice(0, start).split('\n').length - 1;
          return `${block.file}:${line}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
        }),
      );
    }
  }
}

function fileName({ file, line }: Block): string {
  return `${path.basename(file, '.md')}-line-${line}`;
}
