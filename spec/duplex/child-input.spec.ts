import { expect } from 'chai';
import { Writable } from 'node:stream';
import { ChildInput } from '../../lib/duplex/child-input';

/** A stdin whose next write fails. */
function failingStdin(code: string): Writable {
  const error = Object.assign(new Error(`write ${code}`), { code });
  return new Writable({ write: (_chunk, _encoding, callback) => callback(error) });
}

function write(input: ChildInput, bytes: number): Promise<Error | null | undefined> {
  return new Promise((resolve) => input.write([Buffer.alloc(bytes)], resolve));
}

describe('ChildInput: the one event of many names', () => {
  const names = [
    'EPIPE',
    'ECONNRESET',
    'EOF',
    'ENOTCONN',
    'ECANCELED',
    'ERR_STREAM_DESTROYED',
    'ERR_STREAM_WRITE_AFTER_END',
  ];
  for (const code of names) {
    it(`takes ${code} for a closed input: said once, the chunk and all later ones dropped, no error`, async () => {
      let closings = 0;
      const input = new ChildInput(
        () => (closings += 1),
        (error) => expect.fail(error.message),
      );
      input.attach(failingStdin(code));
      expect(await write(input, 10)).to.equal(undefined);
      expect(await write(input, 5)).to.equal(undefined);
      expect(input).to.include({ isClosed: true, bytesDropped: 15, bytesWritten: 0 });
      expect(closings).to.equal(1);
    });
  }

  it('takes no other failure for one', async () => {
    const errors: Error[] = [];
    const input = new ChildInput(
      () => expect.fail('it is not closed'),
      (error) => errors.push(error),
    );
    input.attach(failingStdin('EIO'));
    expect(await write(input, 10)).to.include({ code: 'EIO' });
    await new Promise((resolve) => setImmediate(resolve));
    expect(errors.map((error) => error.message)).to.deep.equal(['write EIO']);
  });

  it('takes what fails after the end of input for nothing: all was taken before', async () => {
    const stdin = new Writable({
      write: (_chunk, _encoding, callback) => callback(),
      final: (callback) => callback(Object.assign(new Error('shutdown ENOTCONN'), { code: 'ENOTCONN' })),
    });
    const input = new ChildInput(
      () => expect.fail('it is not closed'),
      (error) => expect.fail(error.message),
    );
    input.attach(stdin);
    await write(input, 10);
    const closed = new Promise((resolve) => stdin.once('close', resolve));
    input.end();
    await closed;
    expect(input).to.include({ isClosed: false, bytesDropped: 0, bytesWritten: 10 });
  });
});
