/** What a child written for Node pays to come up, and what it does then. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { Port } from '../lib';
import type { Bench, Contender } from './harness';

const lib = join(__dirname, '..', 'lib');

/** In a fresh process for each load, which tells the milliseconds that `require` took; the measure is the median. */
function loading(file: string): Contender {
  const source = `const begun = performance.now(); require(${JSON.stringify(join(lib, file))}); console.log(performance.now() - begun)`;
  return ({ size }) =>
    async () => {
      const times = Array.from({ length: size }, () =>
        Number(spawnSync(process.execPath, ['-e', source], { encoding: 'utf8' }).stdout),
      );
      return times.sort((a, b) => a - b)[Math.floor(size / 2)]!;
    };
}

/** This many messages of 64 bytes, 64 in flight, to a child that echoes them. */
function echoing(...args: string[]): Contender {
  return ({ size }) => {
    const port = new Port(process.execPath, args, { maxInFlight: 64 });
    const message = Buffer.alloc(64, 'x');
    return async () => {
      let left = size;
      const ask = async (): Promise<void> => {
        while (left-- > 0) await port.request(message);
      };
      await Promise.all(Array.from({ length: 64 }, ask));
    };
  };
}

const required = (file: string): string => `require(${JSON.stringify(join(lib, file))})`;

export const bench: Bench = {
  load: {
    title: 'loads of the module, each in a fresh process',
    size: 15,
    ratio: 'cost',
    unit: 'ms',
    rounds: 3,
    turns: 3,
    targets: { 'the index': 1 / 3 },
    contenders: {
      'rexport/child': loading('child/serve-port.js'),
      'the index': loading('index.js'),
    },
  },
  echo: {
    title: 'messages of 64 bytes, 64 in flight, to an echo in Node',
    size: 50_000,
    rounds: 3,
    turns: 3,
    targets: { 'a pipeline of the codecs': 1 },
    contenders: {
      servePort: echoing('-e', `${required('child/serve-port.js')}.servePort(async (message) => message)`),
      'a pipeline of the codecs': echoing(
        '-e',
        `const { LengthPrefixDecoder, LengthPrefixEncoder } = ${required('index.js')};
        async function* answers(messages) { for await (const message of messages) yield message; }
        require('node:stream').pipeline(
          process.stdin, new LengthPrefixDecoder(), answers, new LengthPrefixEncoder(), process.stdout, () => {})`,
      ),
      'reads and writes that wait': echoing(join(__dirname, '..', '..', '..', '..', 'spec', 'programs', 'echo.mjs')),
    },
  },
};
