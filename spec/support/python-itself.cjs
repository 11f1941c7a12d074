/**
 * For `mocha --require`: `python3` is Python itself. What is in the path may be a script that looks for it at every start,
 * and takes four times as long as Python does; then the folder of the real one comes first.
 */
const { spawnSync } = require('node:child_process');
const { closeSync, openSync, readSync } = require('node:fs');
const path = require('node:path');

function isScript(file) {
  try {
    const descriptor = openSync(file, 'r');
    const start = Buffer.alloc(2);
    readSync(descriptor, start);
    closeSync(descriptor);
    return start.toString('latin1') === '#!';
  } catch {
    return undefined;
  }
}

const folders = (process.env.PATH ?? '').split(path.delimiter);
const first = folders.map((folder) => isScript(path.join(folder, 'python3'))).find((answer) => answer !== undefined);
if (first) {
  const { stdout } = spawnSync('python3', ['-c', 'import sys; print(sys.executable)'], { encoding: 'utf8' });
  if (path.isAbsolute(stdout)) process.env.PATH = [path.dirname(stdout.trim()), ...folders].join(path.delimiter);
}
