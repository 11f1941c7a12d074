import { expect } from 'chai';
import { startProgram } from '../support/programs';
import { sideBySide } from '../support/side-by-side';
import { stressed } from '../support/stress';

const it = sideBySide();
const ways = [
  'exited',
  'exited of a port that cannot be started',
  'asyncDispose, unref’ed',
  'close after destroy, unref’ed',
  'exited after destroy of a program that ignores SIGTERM, unref’ed',
];
/** Those that one process awaits: it ends without the words of the first that does not keep it. */
const groups = stressed(
  ways.map((way) => [way]),
  [ways],
);

describe('PortDuplex: a promise of it that is awaited keeps the process alive until it settles', () => {
  for (const group of groups) {
    it(group.join('; '), async () => {
      const { code, stdout, stderr } = await startProgram('awaited', group).ended;
      expect({ code, stdout, stderr }).to.deep.equal({ code: 0, stdout: 'done\n'.repeat(group.length), stderr: '' });
    });
  }
});
