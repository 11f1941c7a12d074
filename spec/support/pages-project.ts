/**
 * The blocks of README and docs as a user of the package would have them: modules in a project where `rexport` is
 * installed.
 */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { chmodSync, copyFileSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import manifest from '../../package.json';
import { compiledBlocks, entries, moduleName } from './block-modules';
import { runInTurn } from './blocks-in-turn';
import { programPath } from './programs';
import { repository, type Block } from './pages';
import { repeat, stressed } from './stress';

export interface Run {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface StartedBlock {
  readonly child: ChildProcessByStdio<null, Readable, Readable>;
  readonly run: Promise<Run>;
}

/** Most of them wait for a child most of the time. */
const AT_A_TIME = 4;
/** What changes the process that it is in, for those after it too. */
const NEEDS_OWN_NODE = /\bprocess\.(?:on|once|exit|stdin|stdout)\b|\b(?:diagnostics_channel|servePort)\b/;
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

  private constructor() {
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
  }

  /** Has the modules of the blocks, and what the checker says of them. */
  static async of(blocks: readonly Block[]): Promise<PagesProject> {
    const modules = blocks.filter(({ language }) => language === 'ts');
    const compiled = await compiledBlocks(modules);
    const project = new PagesProject();
    for (const block of modules) {
      const { faults, module } = compiled[moduleName(block)]!;
      writeFileSync(project.#moduleOf(block), module);
      project.faults.set(
        block,
        faults.map(({ line, message }) => `${block.file}:${block.line + line - 1}: ${message}`),
      );
    }
    return project;
  }

  /** What `npx rexport` runs. */
  get command(): string {
    return path.join(this.#folder, 'node_modules', '.bin', 'rexport');
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true });
  }

  /**
   * Runs the blocks, each in a folder of its own with an `in.log`. In small, modules share two Nodes, where each runs until
   * nothing of it is left, as in one of its own.
   */
  async run(blocks: readonly Block[]): Promise<Map<Block, Run>> {
    const isShared = ({ language, code }: Block): boolean => language === 'ts' && !NEEDS_OWN_NODE.test(code);
    const shared = stressed([], blocks.filter(isShared));
    const runs = new Map<Block, Run>();
    const own = blocks.filter((block) => !shared.includes(block));
    const modules = shared.map((block) => ({ module: this.#moduleOf(block), folder: this.newFolder() }));
    await Promise.all([
      repeat(own.length, AT_A_TIME, async (n) => void runs.set(own[n]!, await this.start(own[n]!).run)),
      runInTurn(modules, 2).then((all) => all.forEach((run, n) => runs.set(shared[n]!, run))),
    ]);
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

  /** Starts a block in a process of its own. */
  start(block: Block, env: NodeJS.ProcessEnv = {}, cwd = this.newFolder()): StartedBlock {
    const [command, ...args] =
      block.language === 'sh' ? ['sh', '-e', '-c', block.code] : [process.execPath, this.#moduleOf(block)];
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

  #moduleOf(block: Block): string {
    return path.join(this.#folder, `${moduleName(block)}.mjs`);
  }

  /** `npx rexport` finds it where npm would have put it. */
  #installCommand(folder: string): void {
    const command = path.join(folder, 'rexport');
    const program = path.resolve(programPath('outcomes'), '../../..', manifest.bin.rexport.replace(/^\.\/dist\//, ''));
    mkdirSync(folder);
    writeFileSync(command, `#!/bin/sh\nexec "${process.execPath}" "${program}" "$@"\n`);
    chmodSync(command, 0o755);
  }
}
