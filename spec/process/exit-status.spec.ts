import { expect } from 'chai';
import { isSuccess, neverStarted, type ExitStatus } from '../../lib/process/exit-status';

describe('the exit status', () => {
  const code = (exitCode: number): ExitStatus => ({ exitCode, signal: null, durationMs: 1 });

  it('is a success when the code is among those that are', () => {
    expect(isSuccess(code(0), [0])).to.be.true;
    expect(isSuccess(code(1), [0, 1])).to.be.true;
  });

  it('is none with any other code, 0 too', () => {
    for (const other of [1, 2, 127, 255]) expect(isSuccess(code(other), [0])).to.be.false;
    expect(isSuccess(code(0), [1])).to.be.false;
  });

  it('is none by a signal, whatever codes are a success', () => {
    expect(isSuccess({ exitCode: null, signal: 'SIGTERM', durationMs: 1 }, [0, 143, 15])).to.be.false;
  });

  it('is none where nothing was started', () => {
    expect(neverStarted).to.deep.equal({ exitCode: null, signal: null, durationMs: 0 });
    expect(isSuccess(neverStarted, [0])).to.be.false;
  });
});
