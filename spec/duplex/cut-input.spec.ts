import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { expect } from 'chai';
import { PortDuplex, type PortDuplexOptions } from '../../lib';
import { survivors } from '../support/processes';
import { startProgram } from '../support/programs';
import { sideBySide } from '../support/side-by-side';
import { closed, CountingSink, rejection, sh } from '../support/streams';
import { stressed } from '../support/stress';

/**
 * Loaders, which take the end of their input for "all is there" and then commit: a marker shows it. A SIGTERM they handle
 * in their own time: they read on. They say `ready` once they do so. The JVM takes half a second to start; what it would
 * show, Perl shows.
 */
const loaders: Record<string, (marker: string) => [command: string, args: string[]]> = {
  Perl: (marker) => [
    'perl',
    [
      '-e',
      '$SIG{TERM} = sub {}; $| = 1; print "ready\\n"; for (;;) { my $n = sysread STDIN, my $b, 4096;' +
        ' last if defined $n && $n == 0 } open F, ">", $ARGV[0]; close F',
      marker,
    ],
  ],
  Python: (marker) => [
    'python3',
    [
      '-c',
      'import os, signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: None)\nprint("ready", flush=True)\n' +
        'while os.read(0, 4096): pass\nopen(sys.argv[1], "w")',
      marker,
    ],
  ],
  Node: (marker) => [
    process.execPath,
    [
      '-e',
      'process.on("SIGTERM", () => {}); process.stdin.resume().on("end", () =>' +
        ' require("fs").writeFileSync(process.argv[1], "")); console.log("ready")',
      marker,
    ],
  ],
};

/** By which descriptor its input ends is nothing that a loader's language knows. */
const languages = stressed(Object.keys(loaders), ['Perl']);

const FORCE_KILL_MS = 60;

/** Gives half of the input, waits until the loader has begun, and fails. */
async function* halfAndFailure(loader: PortDuplex): AsyncGenerator<string> {
  yield 'half of the rows\n';
  if (loader.bytesRead === 0) await once(loader, 'readable');
  throw new Error('the source broke');
}

/** Gives half of the input, and then nothing. */
function halfAndSilence(): Readable {
  const source = new Readable({ read: () => undefined });
  source.push('half of the rows\n');
  return source;
}

/** What cuts an input off; each waits until the loader is ready. */
const cuts: Record<string, (loader: PortDuplex, limits: { controller: AbortController }) => Promise<unknown>> = {
  'a source that fails': async (loader) =>
    rejection(pipeline(() => halfAndFailure(loader), loader, new CountingSink())),
  'an abort of the pipeline': async (loader) => {
    const controller = new AbortController();
    const outcome = rejection(pipeline(halfAndSilence(), loader, new CountingSink(), { signal: controller.signal }));
    await once(loader, 'readable');
    controller.abort();
    return outcome;
  },
  'the option `signal`': async (loader, { controller }) => {
    loader.write('half of the rows\n');
    await once(loader, 'readable');
    const failure = once(loader, 'error');
    controller.abort();
    return failure;
  },
  'destroy()': async (loader) => {
    loader.write('half of the rows\n');
    await once(loader, 'readable');
    loader.destroy();
  },
  'a break in for await': async (loader) => {
    loader.write('half of the rows\n');
    for await (const chunk of loader) if (chunk) break;
  },
  'a sink that fails': async (loader) => {
    const sink = new CountingSink();
    const outcome = rejection(pipeline(halfAndSilence(), loader, sink));
    await once(loader, 'readable');
    sink.destroy(new Error('the sink broke'));
    return outcome;
  },
  'an end of the input that waits behind a write the program does not take': async (loader) => {
    await once(loader, 'readable');
    loader.kill('SIGSTOP');
    loader.write(Buffer.alloc(4_000_000));
    loader.end();
    loader.destroy();
    loader.kill('SIGCONT');
  },
};

describe('PortDuplex: a program sees the end of its input only when that has ended well', () => {
  let folder: string;
  let count = 0;
  const nextMarker = (): string => path.join(folder, `committed-${(count += 1)}`);
  before(() => (folder = mkdtempSync(path.join(tmpdir(), 'rexport-cut-input-'))));
  after(() => rmSync(folder, { recursive: true }));

  /** Cuts the input of a loader off; nothing is committed, and the loader is gone. */
  async function expectNoCommit(language: string, cut: string, options: PortDuplexOptions = {}): Promise<PortDuplex> {
    const controller = new AbortController();
    const marker = nextMarker();
    const loader = new PortDuplex(...loaders[language]!(marker), {
      forceKillAfterMs: FORCE_KILL_MS,
      signal: controller.signal,
      ...options,
    });
    await cuts[cut]!(loader, { controller });
    await closed(loader);
    expect(existsSync(marker), `${language} has committed the half`).to.equal(false);
    return loader;
  }

  const itWaits = sideBySide();

  for (const cut of Object.keys(cuts)) {
    itWaits(`not after ${cut}: it is ended by SIGKILL, if SIGTERM does not do it, and commits nothing`, async () => {
      const loader = await expectNoCommit('Perl', cut);
      expect(loader.signalCode).to.equal('SIGKILL');
    });
  }

  for (const language of languages.slice(1)) {
    itWaits(`in ${language} either`, async () => {
      await expectNoCommit(language, 'a source that fails');
    });
  }

  itWaits('not after timeoutMs', async () => {
    const marker = nextMarker();
    const loader = new PortDuplex(...loaders['Perl']!(marker), { timeoutMs: 100, forceKillAfterMs: FORCE_KILL_MS });
    expect(await rejection(pipeline(halfAndSilence(), loader, new CountingSink()))).to.include({
      code: 'ERR_REXPORT_TIMEOUT',
    });
    await closed(loader);
    expect(existsSync(marker)).to.equal(false);
  });

  itWaits('not when a program before it fails', async () => {
    const marker = nextMarker();
    const failing = new PortDuplex(...sh('echo half; read line; exit 3'));
    const loader = new PortDuplex(...loaders['Perl']!(marker), { forceKillAfterMs: FORCE_KILL_MS });
    const outcome = rejection(pipeline(failing, loader, new CountingSink()));
    // by then it ignores SIGTERM
    if (loader.bytesRead === 0) await once(loader, 'data');
    failing.write('fail\n');
    expect(await outcome).to.include({ exitCode: 3 });
    await closed(loader);
    expect([existsSync(marker), loader.signalCode]).to.deep.equal([false, 'SIGKILL']);
  });

  itWaits('not when a wrapper dies of SIGTERM before it, with killTree', async () => {
    const marker = nextMarker();
    const [command, args] = loaders['Perl']!(marker);
    const wrapper = new PortDuplex('sh', ['-c', '"$@"; true', 'sh', command, ...args], { killTree: true });
    wrapper.write('half of the rows\n');
    await once(wrapper, 'readable');
    wrapper.destroy();
    await closed(wrapper);
    expect(wrapper.signalCode).to.equal('SIGTERM');
    // the loader was sent SIGKILL before its input ended; a moment for one that was not
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(existsSync(marker)).to.equal(false);
  });

  for (const language of languages) {
    itWaits(`but when it has, in ${language}`, async () => {
      const marker = nextMarker();
      await pipeline(['all rows\n'], new PortDuplex(...loaders[language]!(marker)), new CountingSink());
      expect(existsSync(marker)).to.equal(true);
    });
  }

  // by an exit, as all but a signal are, and by a signal
  for (const way of stressed(['throw', 'reject', 'process.exit', 'SIGTERM'], ['throw', 'SIGTERM'])) {
    itWaits(`not when its parent leaves by ${way}`, async () => {
      const marker = nextMarker();
      const [command, args] = loaders['Perl']!(marker);
      const { process: parent, ended } = startProgram('cut-parent', [way, command, ...args]);
      let said = '';
      while (!said.includes('\n')) said += String(await once(parent.stdout!, 'data'));
      if (way === 'SIGTERM') parent.kill('SIGTERM');
      const { code, signal } = await ended;
      expect(code === 0 && signal === null).to.equal(false);
      expect(await survivors([Number(said)])).to.deep.equal([]);
      expect(existsSync(marker)).to.equal(false);
    });
  }
});
