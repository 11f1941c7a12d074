#!/usr/bin/env node
import { main } from './cli';

// A reader that has seen enough (`| head -n 1`) is no failure, and waits for nothing: exit() ends what runs.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') console.error(error);
  process.exit(2);
});

const out = (line: string): void => void process.stdout.write(`${line}\n`);

// Not exit(): what was printed into a pipe must leave first.
main(process.argv.slice(2), { out, err: console.error }).then(
  (code) => (process.exitCode = code),
  (error: unknown) => {
    console.error(error);
    process.exitCode = 2;
  },
);
