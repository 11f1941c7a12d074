#!/usr/bin/env node
import { main } from './cli';

// Not exit(): what was printed into a pipe must leave first.
main(process.argv.slice(2), { out: console.log, err: console.error }).then(
  (code) => (process.exitCode = code),
  (error: unknown) => {
    console.error(error);
    process.exitCode = 2;
  },
);
