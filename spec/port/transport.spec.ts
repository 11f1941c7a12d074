import { expect } from 'chai';
import { ExitError, Port, PortPool, type PortOptions } from '../../lib';
import { requirePrograms } from '../support/stress';

/** Answers each message by what its stdin, stdout and stderr are: one letter each, `p` for a pipe, `S` for a socket. */
const SCRIPT = `
  $| = 1;
  my $kinds = join '', map { -p $_ ? 'p' : -S $_ ? 'S' : '?' } \\*STDIN, \\*STDOUT, \\*STDERR;
  while (read STDIN, my $prefix, 4) {
    read STDIN, my $message, unpack 'N', $prefix;
    exit 1 if $message eq 'die';
    print pack 'N/a', $kinds;
  }
`;

describe('Port: what its child has as stdio', () => {
  before(function () {
    requirePrograms(this, 'perl');
    if (process.platform !== 'linux') this.skip(); // sockets everywhere else
  });

  async function kinds(options: PortOptions = {}): Promise<string> {
    await using port = new Port('perl', ['-e', SCRIPT], options);
    return (await port.request('?')).toString();
  }

  it('pipes', async () => {
    expect(await kinds()).to.equal('ppp');
    expect(await kinds({ pipes: true })).to.equal('ppp');
    expect(await kinds({ pipes: undefined })).to.equal('ppp');
  });

  it('sockets with `pipes: false`', async () => {
    expect(await kinds({ pipes: false })).to.equal('SSS');
  });

  it('pipes for each child of a pool, and for those that come after a crash', async () => {
    await using pool = new PortPool('perl', ['-e', SCRIPT], { size: 3, minSize: 3 });
    await pool.start();
    const ask = (): Promise<string[]> =>
      Promise.all(Array.from({ length: 6 }, async () => (await pool.request('?')).toString()));
    expect(new Set(await ask())).to.deep.equal(new Set(['ppp']));
    const death = await pool.request('die').catch((error: Error) => error);
    expect(death).to.be.an.instanceOf(ExitError);
    expect(new Set(await ask())).to.deep.equal(new Set(['ppp']));
  });
});
