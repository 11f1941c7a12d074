/** A port program for Node, in TypeScript: `new Port(process.execPath, ['child.js'])`, compiled. In a project of yours: 'rexport/child'. */
import { servePort } from '../../lib/child/serve-port';

function answer(message: Buffer): Buffer {
  return message; // your work goes here
}

// Exact reads, flushed replies, the end of the input, and prints that go to stderr are its own affair.
void servePort(answer);
