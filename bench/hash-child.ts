/** A program behind a port: each message is a number of rounds, each reply the hash. */
import { encodeFrame, FrameParser } from '../lib';
import { hash } from './hash';

const parser = new FrameParser();
process.stdin.on('data', (chunk: Buffer) => {
  parser.write(chunk);
  for (let message = parser.next(); message !== undefined; message = parser.next()) {
    process.stdout.write(encodeFrame(String(hash(Number(String(message))))));
  }
});
