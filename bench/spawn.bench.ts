/** What a port costs apart from the bytes: one short-lived program after another. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { PortDuplex } from '../lib';
import type { Bench, Run, Work } from './harness';

function repeat({ size }: Work, one: () => Promise<unknown>): Run {
  return async () => {
    for (let count = 0; count < size; count++) await one();
  };
}

export const bench: Bench = {
  true: {
    title: 'runs of `true`, from its spawn to its close, one after another',
    size: 100,
    ratio: 'cost',
    rounds: 9,
    warmups: 4,
    turns: 9,
    targets: { 'raw spawn': 1.15 },
    contenders: {
      PortDuplex: (work) =>
        repeat(work, async () => {
          const port = new PortDuplex('true');
          port.end();
          port.resume();
          await once(port, 'close');
        }),
      'raw spawn': (work) =>
        repeat(work, async () => {
          const child = spawn('true', { stdio: 'pipe' });
          child.stdin.end();
          child.stdout.resume();
          child.stderr.resume();
          await once(child, 'close');
        }),
      execa: async (work) => {
        const { execa } = await import('execa');
        return repeat(work, () => execa('true', { buffer: false, input: '' }));
      },
    },
  },
};
