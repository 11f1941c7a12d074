/** What a child written for Node pays to come up: the entry `rexport/child` against the whole of `rexport`. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
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
};
