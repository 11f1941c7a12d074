/** Modules of which several run in one Node, one after another: see spec/programs/blocks-in-turn.ts. */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { programPath } from './programs';
import type { Run } from './pages-project';

export interface OwnModule {
  readonly module: string;
  /** It runs here. */
  readonly folder: string;
}

/** One that has not ended by then is a fault, and no reason to wait longer. */
const MOST_MS = 60_000;

/** Runs them in `nodes` Nodes at a time; a Node that one of them ends is followed by another. */
export async function runInTurn(modules: readonly OwnModule[], nodes: number): Promise<Run[]> {
  const mark = randomUUID();
  const args = [programPath('blocks-in-turn'), mark, ...modules.flatMap(({ module, folder }) => [module, folder])];
  const runs: Run[] = [];
  const lane = async (): Promise<void> => {
    for (;;) {
      const { exitCode, stdout, stderr } = await runNode(args, mark);
      const [said, complained] = [parts(stdout, mark), parts(stderr, mark)];
      let hasBrokenOff = false;
      for (const [number, { text, code }] of said) {
        const of = { stdout: text, stderr: complained.get(number)?.text ?? '' };
        runs[number] = { exitCode: code ?? exitCode, ...of };
        if (code === undefined) hasBrokenOff = true;
      }
      if (!hasBrokenOff && exitCode === 0) return;
      if (!hasBrokenOff) throw new Error(`expected a Node that runs modules to end well, got ${exitCode}: ${stderr}`);
    }
  };
  await Promise.all(Array.from({ length: nodes }, lane));
  return runs;
}

async function runNode(args: readonly string[], mark: string): Promise<Run> {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const timer = setTimeout(() => child.kill('SIGKILL'), MOST_MS);
  const [stdout, stderr] = [child.stdout, child.stderr].map((stream) => {
    const printed = { text: '' };
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      printed.text += chunk;
      // at a mark another begins; one that prints without end has no more time than one that prints nothing
      if (chunk.includes(mark)) timer.refresh();
    });
    return printed;
  });
  const exitCode = await new Promise<number | null>((resolve) => child.once('close', resolve));
  clearTimeout(timer);
  return { exitCode, stdout: stdout!.text, stderr: stderr!.text };
}

/** What stands between the marks, by number; without a code where the Node was gone before the second. */
function parts(printed: string, mark: string): Map<number, { text: string; code?: number }> {
  const found = new Map<number, { text: string; code?: number }>();
  const pattern = new RegExp(`${mark} (\\d+) begins\\n(.*?)(?:${mark} \\1 (\\d+)\\n|$(?![^]))`, 'gs');
  for (const [, number, text = '', code] of printed.matchAll(pattern)) {
    found.set(Number(number), code === undefined ? { text } : { text, code: Number(code) });
  }
  return found;
}
