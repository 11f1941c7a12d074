import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { main } from '../../check/cli';
import manifest from '../../package.json';
import { Checks } from '../support/check';
import { isAlive, program } from '../support/ports';
import { programPath } from '../support/programs';
import { stressed } from '../support/stress';

const echo = ['perl', program('echo.pl')];
/** Answers in upper case. */
const upper = [
  'perl',
  '-e',
  'binmode $_ for *STDIN, *STDOUT; $| = 1; while (read STDIN, my $h, 4) { read STDIN, my $m, unpack "N", $h; print STDERR "got $m\n"; print $h, uc $m }',
];

/** The longest silence, for programs that are silent. */
const TIMEOUT = ['--timeout', String(stressed(1000, 500))];

/** Runs the command in this process: what is refused, and what is measured. */
async function here(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const [out, err]: string[][] = [[], []];
  const code = await main(args, { out: (line) => out!.push(line), err: (line) => err!.push(line) });
  return { code, out: out!.join('\n'), err: err!.join('\n') };
}

describe('the command rexport check', () => {
  const checks = new Checks();

  before('run all that start a program', function () {
    this.timeout(300_000);
    return checks.run();
  });

  const conforming = checks.command('check', '--', ...echo);
  it('prints a row for each case, and leaves with 0 when the program conforms', () => {
    const { code, out } = conforming();
    expect(code, out).to.equal(0);
    const lines = out.split('\n').filter((line) => line !== '');
    expect(lines[0]).to.equal(`rexport check, {packet, 4}: ${echo.join(' ')}`);
    expect(lines[2]).to.equal('ok        one message               the reply');
    expect(lines.at(-1)).to.equal('conforms: 12 of 12 cases');
    expect(out).to.match(/a large message +the reply/);
  });

  const printing = checks.command('check', '--', 'sh', '-c', 'echo Hello');
  it('prints what was sent, what came, what it means and how to fix it, and leaves with 1', () => {
    const { code, out } = printing();
    expect(code).to.equal(1);
    // it may be seen before its end
    expect(out.replaceAll(', then exit code 0', '')).to.include(
      [
        'failed    one message               print-on-stdout',
        '          sent   00 00 00 05 "hello"',
        '          came   "Hello\\n"',
        '          means  the program prints on stdout, and the print is read as a frame',
        '          fix    print to stderr; better, send stdout to stderr at the start and keep the real one for the frames',
        'not run   one after another         it takes a program that passes: one message',
      ].join('\n'),
    );
    expect(out).to.match(/\ndoes not conform: 2 of 2 cases failed$/);
  });

  const packet1 = checks.command('check', '--packet', '1', '--', ...echo, '1');
  it('speaks {packet, N}, and leaves out what that has not', () => {
    const { code, out } = packet1();
    expect(code, out).to.equal(0);
    expect(out).to.match(/^left out +a large message +\{packet, 1\} has none$/m);
    expect(out).to.match(/^ok +sizes around the borders +replies of 1 to 255 bytes$/m);
  });

  const pairs = ['--request', 'one', '--expect', 'ONE', '--request', 'hex:74776f', '--expect', 'TWO'];
  const paired = checks.command('check', ...pairs, '--', ...upper);
  const unpaired = checks.command('check', '--', ...upper);
  it('takes pairs for a program that is no echo, leaves out by name what takes one, and shows its stderr', () => {
    const { code, out } = paired();
    expect(code, out).to.equal(0);
    const leftOut = [...out.matchAll(/^left out +(.*?) {2,}it takes an echo$/gm)].map(([, name]) => name);
    expect(leftOut).to.deep.equal(['an empty message', 'every byte', 'sizes around the borders', 'a large message']);
    expect(out).to.match(/^ok +on stderr +1 line, harmless there: got one$/m);
    expect(unpaired().out).to.match(/^failed +one message +wrong-reply$/m);
  });

  const anyReply = checks.command('check', '--request', 'one', '--', ...upper);
  it('takes any reply where none is expected', () => {
    expect(anyReply().code).to.equal(0);
  });

  const asJson = checks.command('check', '--json', '--', 'sh', '-c', 'exit 3');
  it('gives the result as JSON', () => {
    const { code, out } = asJson();
    const { cases, ...rest } = JSON.parse(out) as { cases: Record<string, string>[] };
    expect(rest).to.deep.equal({ command: 'sh', framing: '{packet, 4}', packet: 4, conforms: false });
    expect(cases[0]).to.include({
      name: 'no message',
      result: 'failed',
      diagnosis: 'does-not-start',
      came: 'exit code 3',
    });
    expect(cases.slice(1).map(({ result }) => result)).to.deep.equal(Array(11).fill('not run'));
    expect(code).to.equal(1);
  });

  const missing = checks.command('check', '--', 'perl', 'no-such-file.pl');
  it('says of a program that does not come up that it does not, and runs nothing more', () => {
    const { code, out } = missing();
    expect(code).to.equal(1);
    expect(out).to.match(/^failed +no message +does-not-start$/m);
    expect(out).to.match(/^ +came +exit code 2, and on stderr: Can't open perl script/m);
    expect(out).to.match(/^ +means +the program ends by itself, though its input is open and nothing was asked/m);
    expect(out).to.match(/^does not conform: 1 of 1 cases failed$/m);
  });

  it('judges a program that prints without end in bounded time and memory', async () => {
    const before = process.memoryUsage.rss();
    const { code, out } = await here('check', '--', 'yes');
    expect(code).to.equal(1);
    expect(out).to.match(/^failed +no message +print-on-stdout$/m);
    expect(out).to.match(/^failed +one message +print-on-stdout$/m);
    expect(out).to.match(/^ +came +"y\\ny\\n.* bytes\), then more without end$/m);
    expect(process.memoryUsage.rss() - before).to.be.below(256 * 1024 * 1024);
  });

  const own = [
    'perl',
    '-e',
    'binmode STDIN; binmode STDOUT; $| = 1; while (read STDIN, my $h, 4) { read STDIN, my $m, unpack("V", $h) - 4; print $h, $m }',
  ];
  const format = ['--prefix', '4', '--endian', 'little', '--length-includes-prefix'];
  const formatted = checks.command('check', ...format, '--', ...own);
  // an echo of the bytes has any format
  const anyFormats = stressed(['3', 'varint'], ['varint']).map((prefix) =>
    checks.command('check', '--json', '--prefix', prefix, '--', 'cat'),
  );
  it('speaks the formats that are not those of Erlang', () => {
    const { code, out } = formatted();
    expect(code, out).to.equal(0);
    expect(out).to.match(/^rexport check, a length of 4 bytes, little-endian, that counts itself: perl/);
    expect(out).to.match(/^conforms: 12 of 12 cases$/m);
    for (const any of anyFormats) {
      expect(any().code, any().out).to.equal(0);
      expect(JSON.parse(any().out)).to.not.have.property('packet');
    }
  });

  const crlf = ['perl', '-pe', 'BEGIN { $| = 1 } s/\\n/\\r\\n/'];
  const echoes = stressed([['cat'], crlf], [crlf]).map((line) =>
    checks.command('check', '--framing', 'lines', '--', ...line),
  );
  const pairedLines = checks.command(
    ...['check', '--framing', 'lines', '--request', '{"a":1}', '--expect', '1'],
    ...['--', 'perl', '-e', '$| = 1; while (<STDIN>) { print /(\\d+)/, "\\n" }'],
  );
  const blocks = checks.command('check', '--framing', 'content-length', '--', 'cat');
  it('checks programs that speak lines, or Content-Length', () => {
    for (const line of echoes) {
      const { code, out } = line();
      expect(code, out).to.equal(0);
      expect(out)
        .to.match(/^rexport check, lines: /)
        .and.to.match(/^left out +every byte +a line has no newline$/m);
      expect(out).to.match(/^conforms: 11 of 11 cases$/m);
    }
    expect(pairedLines().code).to.equal(0);
    expect(blocks().code, blocks().out).to.equal(0);
    expect(blocks().out).to.match(/^rexport check, Content-Length: cat$/m);
  });

  const printer = '$| = 1; print "I print\\n"; open I, "<&=3"; open O, ">&=4"; O->autoflush; print O $_ while <I>';
  const onOthers = checks.command('check', '--channel', 'fd3', '--framing', 'lines', '--', 'perl', '-e', printer);
  const onOthersJson = checks.command('check', '--json', '--channel', 'fd3', '--', 'sh', '-c', 'exec cat <&3 >&4');
  it('checks programs that read descriptor 3 and write 4, whatever they print', () => {
    const { code, out } = onOthers();
    expect(code, out).to.equal(0);
    expect(out).to.match(/^rexport check, lines, on descriptors 3 and 4: perl /);
    expect(out).to.match(/^ok +on stderr +1 line, harmless there: I print$/m);
    expect(JSON.parse(onOthersJson().out)).to.include({ channel: 'fd3', conforms: true });
  });

  const elsewhere: [title: string, args: string[], rows: RegExp[]][] = [
    [
      'stdin and stdout, where 3 and 4 were said',
      ['--channel', 'fd3', '--', 'cat'],
      [/^failed +one message +other-channel$/m, /^ +came +exit code 0; on stdin and stdout it answers$/m],
    ],
    [
      '3 and 4, where that was not said',
      ['--', 'sh', '-c', 'exec cat <&3 >&4'],
      [/^failed +no message +other-channel$/m],
    ],
    [
      '3 and 4, where that was not said, and stays without them',
      ['--', 'sh', '-c', '[ -e /proc/self/fd/3 ] && exec cat <&3 >&4; exec cat >/dev/null'],
      [/^failed +one message +other-channel$/m, /; on descriptors 3 and 4 it answers$/m],
    ],
  ];
  for (const [title, args, rows] of elsewhere) {
    const there = checks.command('check', ...TIMEOUT, ...args);
    it(`says of a program that it speaks on ${title}`, () => {
      const { code, out } = there();
      expect(code).to.equal(1);
      for (const row of rows) expect(out).to.match(row);
    });
  }

  const wrongLines: [title: string, program: string, diagnosis: string][] = [
    ['does not flush', 'print while <STDIN>', 'no-flush'],
    ['prints before the reply', '$| = 1; while (<STDIN>) { print "got it\\n", $_ }', 'stray-frame'],
    ['speaks first', '$| = 1; print "ready\\n"; print while <STDIN>', 'speaks-first'],
    ['leaves out the newline', '$| = 1; while (<STDIN>) { chomp; print }', 'no-newline'],
    [
      'speaks length prefixes',
      '$| = 1; while (read STDIN, my $h, 4) { read STDIN, my $m, unpack "N", $h; print $h, $m }',
      'length-prefixed',
    ],
  ];
  for (const [title, program, diagnosis] of wrongLines) {
    const wrongly = checks.command('check', '--framing', 'lines', ...TIMEOUT, '--', 'perl', '-e', program);
    it(`says of a program of lines that ${title}: ${diagnosis}`, () => {
      const { code, out } = wrongly();
      expect(code).to.equal(1);
      expect(out).to.match(new RegExp(`^failed +one message +${diagnosis}$`, 'm'));
    });
  }

  it('gives its version', async () => {
    expect(await here('--version')).to.deep.equal({ code: 0, out: manifest.version, err: '' });
  });

  const wrong: [args: string[], message: string][] = [
    [[], 'expected `check`, got nothing'],
    [['chekc', '--', 'cat'], 'expected `check`, got chekc'],
    [['check'], 'expected a command behind `--`, got none'],
    [['check', 'cat'], 'expected `--` in front of the command: rexport check -- cat'],
    [
      ['check', '--packet', '2', 'python3', '-u', 'my worker.py', '--fast'],
      "expected `--` in front of the command: rexport check --packet 2 -- python3 -u 'my worker.py' --fast",
    ],
    [['check', '--packet', '4', '--prefix', '4', '--', 'cat'], 'expected --packet or --prefix, got both'],
    [['check', '--framing', 'lines', '--packet', '2', '--', 'cat'], 'expected --framing without --packet, got both'],
    [['check', '--channel', 'fd5', '--', 'cat'], 'expected --channel to be stdio or fd3, got fd5'],
    [['check', '--framing', 'words', '--', 'cat'], 'expected --framing to be lines or content-length, got words'],
    [
      ['check', '--framing', 'lines', '--request', 'a\nb', '--', 'cat'],
      'expected a line without a newline in it, got one with it',
    ],
    [['check', '--prefix', '5', '--', 'cat'], 'expected --prefix to be 1, 2, 3, 4, 8 or varint, got 5'],
    [
      ['check', '--prefix', '4', '--endian', 'middle', '--', 'cat'],
      'expected --endian to be big or little, got middle',
    ],
    [
      ['check', '--endian', 'little', '--', 'cat'],
      'expected --endian only together with a --prefix of a fixed number of bytes',
    ],
    [
      ['check', '--prefix', 'varint', '--length-includes-prefix', '--', 'cat'],
      'expected --length-includes-prefix only together with a --prefix of a fixed number of bytes',
    ],
    [['check', '--packet', '3', '--', 'cat'], 'expected --packet to be 1, 2 or 4, got 3'],
    [['check', '--timeout', 'soon', '--', 'cat'], 'expected --timeout to be an integer from 1 to 2147483647, got soon'],
    [['check', '--expect', 'x', '--', 'cat'], 'expected as many --expect as --request, got 1 and 0'],
    [['check', '--request', 'hex:0', '--', 'cat'], 'expected pairs of hexadecimal digits behind hex:, got 0'],
    [
      ['check', '--packet', '1', '--request', 'x'.repeat(256), '--', 'cat'],
      'expected messages of at most 255 bytes, got one of 256',
    ],
    [['check', '--loud', '--', 'cat'], "Unknown option '--loud'"],
  ];
  for (const [args, message] of wrong) {
    it(`leaves with 2 and says where the usage is: ${message}`, async () => {
      const { code, out, err } = await here(...args);
      expect([code, out]).to.deep.equal([2, '']);
      expect(err.startsWith(`rexport: ${message}`), err).to.equal(true);
      expect(err)
        .to.match(/\n`rexport --help` shows the usage$/)
        .and.not.include('usage: rexport');
    });
  }

  it('leaves with 2 when the program can not be started', async () => {
    const { code, err } = await here('check', '--', 'no-such-program');
    expect(code).to.equal(2);
    expect(err).to.match(/^rexport: could not spawn no-such-program: /);
  });

  const bin = path.resolve(programPath('served'), '../../../check/bin.js');

  it('prints the usage when asked, as a program of its own', () => {
    const { status, stdout } = spawnSync(process.execPath, [bin, '--help'], { encoding: 'utf8' });
    expect(status).to.equal(0);
    expect(stdout).to.match(/^usage: rexport check /);
    expect(spawnSync(process.execPath, [bin]).status).to.equal(2);
  });

  it('is quiet when nobody reads on, and ends the program that it checks', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'rexport-cli-'));
    const file = path.join(folder, 'pid');
    const asleep = `echo $$ >>${file}; exec sleep 60`;
    const rexport = `"${process.execPath}" "${bin}" check --timeout 300 -- sh -c '${asleep}'`;
    const { stdout, stderr } = spawnSync('sh', ['-c', `${rexport} | head -n 1`], { encoding: 'utf8' });
    expect([stdout, stderr]).to.deep.equal([`rexport check, {packet, 4}: sh -c ${asleep}\n`, '']);
    const pids = readFileSync(file, 'utf8').trim().split('\n').map(Number);
    expect(pids).to.have.length.at.least(1);
    expect(pids.filter(isAlive)).to.deep.equal([]);
    rmSync(folder, { recursive: true });
  });
});
