#!/usr/bin/env node
import { main } from './cli';
import { serve } from './serve';

// A reader that has seen enough (`| head -n 1`) is no failure, and waits for nothing: exit() ends what runs.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') console.error(error);
  process.exit(2);
});

const said = { out: (line: string): void => void process.stdout.write(`${line}\n`), err: console.error };
const [first, ...rest] = process.argv.slice(2);

// Not exit(): what was printed into a pipe must leave first.
(first === 'serve' ? serve(rest, said) : main(process.argv.slice(2), said)).then(
  (code) => (process.exitCode = code),
  (error: unknown) => {
    console.error(error);
    process.exitCode = 2;
  },
);
