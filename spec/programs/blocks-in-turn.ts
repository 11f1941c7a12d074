/**
 * Runs modules one after another, each until nothing of it keeps this Node alive: `blocks-in-turn.js MARK [MODULE FOLDER]...`.
 * Each runs in its folder, which it takes for itself by a new name; where that is taken, others that run the same list have the
 * module. On stdout and stderr a line with MARK, the number of the module, and `begins` or its exit code stands before and behind
 * what it prints. One that would end Node ends this one.
 */
import { renameSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

interface Running {
  readonly number: number;
  isEvaluated: boolean;
}

const [mark, ...list] = process.argv.slice(2);
let running: Running | undefined;
let at = 0;

/** No byte of a module comes behind its mark, or before it. */
async function say(words: string | number): Promise<void> {
  const line = `${mark} ${running!.number} ${words}\n`;
  const print = (stream: NodeJS.WriteStream): Promise<void> =>
    new Promise((resolve) => stream.write(line, () => resolve()));
  await Promise.all([process.stdout, process.stderr].map(print));
}

async function begin(): Promise<void> {
  for (; at < list.length; at += 2) {
    const [module = '', folder = ''] = list.slice(at, at + 2);
    const own = `${folder}-taken`;
    try {
      renameSync(folder, own);
    } catch {
      continue;
    }
    const mine: Running = { number: at / 2, isEvaluated: false };
    running = mine;
    at += 2;
    process.chdir(own);
    await say('begins');
    // not awaited: one that never settles ends a Node too
    void import(pathToFileURL(module).href).then(() => (mine.isEvaluated = true));
    return;
  }
}

process.on('beforeExit', (code) => {
  if (running === undefined) return;
  // as Node itself says it
  const ended = say(running.isEvaluated ? code : 13);
  running = undefined;
  process.exitCode = undefined;
  void ended.then(begin);
});
void begin();
