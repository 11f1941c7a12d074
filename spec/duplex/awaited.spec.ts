import { expect } from 'chai';
import { startProgram } from '../support/programs';
import { sideBySide } from '../support/side-by-side';

const it = sideBySide();

describe('PortDuplex: a promise of it that is awaited keeps the process alive until it settles', () => {
  for (const way of [
    'exited',
    'exited of a port that cannot be started',
    'asyncDispose, unref’ed',
    'close after destroy, unref’ed',
    'exited after destroy of a program that ignores SIGTERM, unref’ed',
  ]) {
    it(way, async () => {
      const { code, stdout, stderr } = await startProgram('awaited', [way]).ended;
      expect({ code, stdout, stderr }).to.deep.equal({ code: 0, stdout: 'done\n', stderr: '' });
    });
  }
});
