import path from 'node:path';
import { expect } from 'chai';
import { lines, Port, PortPool, type ExitError, type PortOptions } from '../../lib';
import { thrownBy } from '../support/frames';
import { watch } from '../support/ports';
import { programPath } from '../support/programs';
import { rejection } from '../support/streams';
import { requirePrograms, stressed } from '../support/stress';

/** Echoes frames between descriptors `$in` and `$out`, and prints on stdout and stderr in the midst of each. */
const NOISY = `
  my ($in, $out) = @ARGV;
  open IN, "<&=$in" or die $!;
  open OUT, ">&=$out" or die $!;
  binmode $_ for IN, OUT;
  $| = 1;
  print "hello, I am ready\\n";
  while ((sysread IN, my $prefix, 4) == 4) {
    my $length = unpack 'N', $prefix;
    my $message = '';
    while (length $message < $length) { sysread IN, $message, $length - length $message, length $message or exit 1 }
    exit 9 if $message eq 'die';
    my $reply = pack 'N/a', $message eq 'pid' ? $$ : $message;
    syswrite OUT, $reply, 2;
    print "working on it\\n";
    print STDERR "still working\\n";
    syswrite OUT, substr $reply, 2;
    system 'echo a subprocess prints too' if $message eq 'fork';
  }
`;
const onChannel = ['-e', NOISY, '3', '4'];

for (const pipes of [true, false]) {
  describe(`Port with \`channel: 'fd3'\`, over ${pipes ? 'pipes' : 'sockets'}`, () => {
    before(function () {
      requirePrograms(this, 'perl');
      if (process.platform === 'win32') this.skip(); // refused there
    });

    const options = { pipes, channel: 'fd3' } as const satisfies PortOptions;

    it('no print gets between the messages, of the program and of what it starts', async () => {
      await using port = new Port('perl', onChannel, { ...options, maxInFlight: 8 });
      const seen = watch(port);
      const messages = Array.from({ length: stressed(300, 100) }, (_, n) => (n % 100 === 50 ? 'fork' : `message ${n}`));
      const replies = await Promise.all(messages.map(async (message) => String(await port.request(message))));
      expect(replies).to.deep.equal(messages);
      expect(seen).to.deep.equal(['spawn 1']);
    });

    it('what it printed is in the error of its death', async () => {
      await using port = new Port('perl', onChannel, options);
      await port.request('one');
      const error = (await rejection(port.request('die'))) as ExitError;
      expect(error).to.include({ code: 'ERR_REXPORT_EXIT', exitCode: 9 });
      expect(error.stderrTail).to.equal('hello, I am ready\nworking on it\nstill working\n');
    });

    it('a child that prints without an end is drained, and answers', async () => {
      const flood = `open F, '>&=1'; fork or do { syswrite F, 'x' x 65536 while 1 }; ${NOISY}`;
      await using port = new Port('perl', ['-e', flood, '3', '4'], { ...options, killTree: true });
      for (const message of ['a', 'b', 'c']) expect(String(await port.request(message))).to.equal(message);
      await port.destroy();
    });

    it('close() ends descriptor 3, and the child leaves by itself', async () => {
      const port = new Port('perl', onChannel, options);
      const statuses: unknown[] = [];
      port.on('exit', (_child, { exitCode, signal }) => statuses.push([exitCode, signal]));
      await port.request('one');
      await port.close();
      expect(statuses).to.deep.equal([[0, null]]);
    });

    const asked = stressed(4000, 240);
    it(`a pool with members killed at random: of ${asked} requests none is lost, none gets another's answer`, async () => {
      await using pool = new PortPool('perl', onChannel, { ...options, size: 3, maxInFlight: 4, maxRestarts: 1000 });
      const live = new Map<number, number>();
      pool.on('spawn', ({ lane, pid }) => live.set(lane, pid!));
      pool.on('exit', ({ lane, pid }) => live.get(lane) === pid && live.delete(lane));
      let replies = 0;
      const killOne = (): void => {
        const lanes = [...live.keys()];
        const lane = lanes[Math.floor(Math.random() * lanes.length)];
        if (lane === undefined) return;
        process.kill(live.get(lane)!, 'SIGKILL');
        // it is gone before anybody is told
        live.delete(lane);
      };
      const wrong: string[] = [];
      /** One that two children were killed with is asked anew, as its caller would. */
      const ask = async (message: string): Promise<string> => {
        for (;;) {
          try {
            return String(await pool.request(message, { idempotent: true }));
          } catch (error) {
            if ((error as { code?: string }).code !== 'ERR_REXPORT_POISON') throw error;
          }
        }
      };
      let next = 0;
      const caller = async (): Promise<void> => {
        for (let n = next++; n < asked; n = next++) {
          const reply = await ask(`message ${n}`);
          if (reply !== `message ${n}`) wrong.push(`${n}: ${reply}`);
          if (++replies % 40 === 0) killOne();
        }
      };
      await Promise.all(Array.from({ length: 16 }, caller));
      expect([replies, wrong]).to.deep.equal([asked, []]);
      expect(pool.restarts).to.be.above(asked / 80);
    });
  });
}

describe("Port with `channel: 'fd3'`", () => {
  it('servePort is the other end', async () => {
    await using port = new Port(process.execPath, [programPath('echoing'), '4', 'fd3'], { channel: 'fd3' });
    expect(String(await port.request('over there'))).to.equal('over there');
  });

  it('the model child in Python is the other end', async function () {
    requirePrograms(this, 'python3');
    const child = path.join(__dirname, '..', '..', 'examples', 'children', 'child.py');
    await using port = new Port('python3', [child, 'fd3'], { channel: 'fd3' });
    expect(String(await port.request('over there'))).to.equal('over there');
  });

  it('a program that speaks on stdin and stdout ends at once, and the error says that it ended', async () => {
    await using port = new Port('cat', { channel: 'fd3', maxRestarts: 0 });
    expect(await rejection(port.request('anybody?'))).to.include({ code: 'ERR_REXPORT_EXIT' });
  });

  it('a port has no further descriptors, for its children come and go', () => {
    expect(thrownBy(() => new Port('cat', { stdio: { 3: 'out' } } as PortOptions))).to.be.an.instanceOf(TypeError);
  });
});

describe("Port with `stderr: 'stdout'`", () => {
  before(function () {
    requirePrograms(this, 'perl');
    if (process.platform === 'win32') this.skip(); // refused there
  });

  for (const pipes of [true, false]) {
    it(`a complaint on stderr is an answer, over ${pipes ? 'pipes' : 'sockets'}`, async () => {
      // As bc and sqlite3 do: results on stdout, and mistakes on stderr.
      const script =
        '$| = 1; while (<>) { chomp; /^\\\\d+$/ ? print($_ * 2, "\\n") : print STDERR "no number: $_\\n" }';
      const options = { framing: lines(), stderr: 'stdout', pipes, decode: String } as const;
      await using port = new Port<string, string>('perl', ['-e', script.replaceAll('\\\\', '\\')], options);
      const replies = await Promise.all(['1', 'two', '3'].map((line) => port.request(line)));
      expect(replies).to.deep.equal(['2', 'no number: two', '6']);
    });
  }
});
