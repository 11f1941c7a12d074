/**
 * Awaits promises of a port, one after another, and has nothing else to do: `port-awaits.js OBEYS.PL Port|PortPool WAY...`.
 * Prints the name of each way when its promise has settled. A port that does not keep the process until then lets it
 * leave early, without a word.
 */
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { Readable, Writable } from 'node:stream';
import { Port, PortPool, type PortOptions } from '../../lib/index';

type AnyPort = Port | PortPool;
type Make = (command: string, args?: readonly string[], options?: PortOptions) => AnyPort;

/** The path of spec/programs/obeys.pl, which lies elsewhere when this is compiled. */
const obeys = process.argv[2] ?? '';
/** How long a promise takes that waits for time; a process that nothing keeps leaves at once. */
const WAIT_MS = 20;
const ignore = (): void => undefined;
const sink = (): Writable => new Writable({ objectMode: true, write: (_chunk, _encoding, callback) => callback() });

/** Starts a program that dies at once, and waits until its restart is due, however soon that is. */
async function restarting(port: AnyPort): Promise<AnyPort> {
  let isDue = false;
  port.once('restart', () => (isDue = true));
  port.restart();
  // an immediate is work that keeps the process: no port does so for an event
  while (!isDue) await new Promise((resolve) => setImmediate(resolve));
  return port;
}

async function warm(make: Make, options?: PortOptions): Promise<AnyPort> {
  const port = make('perl', [obeys], options);
  await port.request('echo warm');
  return port;
}

/** In a backoff that takes longer than the spec does. */
async function inBackoff(make: Make): Promise<AnyPort> {
  const backoff = { minMs: 60_000, maxMs: 60_000 };
  return restarting(make('false', [], { backoff, maxRestarts: 100, closeTimeoutMs: WAIT_MS }));
}

export const ways: Record<string, (make: Make) => Promise<unknown>> = {
  async 'destroy() with a request in flight'(make) {
    const port = await warm(make);
    port.request('never').catch(ignore);
    await port.destroy();
  },
  async 'destroy() with requests in flight and in the queue'(make) {
    const port = await warm(make);
    for (let n = 0; n < 10; n += 1) port.request('never').catch(ignore);
    await port.destroy(new Error('enough'));
  },
  async 'destroy() of an idle port'(make) {
    const port = await warm(make);
    await port.destroy();
  },
  async 'destroy() in the tick of the first request'(make) {
    const port = make('perl', [obeys]);
    port.request('echo a').catch(ignore);
    await port.destroy();
  },
  async 'destroy() in the tick of restart()'(make) {
    const port = make('perl', [obeys]);
    port.restart();
    await port.destroy();
  },
  async 'destroy() in a backoff'(make) {
    const port = await inBackoff(make);
    port.request('a').catch(ignore);
    await port.destroy();
  },
  async 'destroy() of a child that ignores SIGTERM'(make) {
    const port = make('perl', ['-e', '$SIG{TERM} = "IGNORE"; do shift', obeys], { forceKillAfterMs: WAIT_MS });
    await port.request('echo warm');
    port.request('never').catch(ignore);
    await port.destroy();
  },
  async 'destroy() for the second time'(make) {
    const port = await warm(make);
    port.request('never').catch(ignore);
    void port.destroy();
    await port.destroy();
  },
  async 'destroy() in the midst of close()'(make) {
    const port = await warm(make);
    port.request('never').catch(ignore);
    void port.close();
    await port.destroy();
  },
  async 'destroy() in the handler of the last rejection'(make) {
    const port = await warm(make);
    await port.request('exit 1').catch(() => port.destroy());
  },
  async 'destroy() right after the last request was aborted'(make) {
    const port = await warm(make);
    const control = new AbortController();
    port.request('never', { signal: control.signal }).catch(ignore);
    control.abort();
    await port.destroy();
  },
  async 'close() of an idle port'(make) {
    const port = await warm(make);
    await port.close();
  },
  async 'close() with requests'(make) {
    const port = await warm(make);
    for (let n = 0; n < 4; n += 1) void port.request(`slowly ${WAIT_MS} x`);
    await port.close();
  },
  async 'close() with a request that never is answered'(make) {
    const port = await warm(make, { closeTimeoutMs: WAIT_MS });
    port.request('never').catch(ignore);
    await port.close();
  },
  async 'close() whose last request is aborted meanwhile'(make) {
    const port = await warm(make);
    const control = new AbortController();
    port.request('never', { signal: control.signal }).catch(ignore);
    const closed = port.close();
    control.abort();
    await closed;
  },
  async 'close() whose last request times out meanwhile'(make) {
    const port = await warm(make);
    port.request('never', { timeoutMs: WAIT_MS }).catch(ignore);
    await port.close();
  },
  async 'close() in the handler of the last reply'(make) {
    const port = await warm(make);
    await port.request('echo a').then(() => port.close());
  },
  async 'close() of a child that takes its time at the end of its input'(make) {
    const port = make('sh', ['-c', 'cat; sleep 0.02']);
    await port.request('a');
    await port.close();
  },
  async 'close() of a child that does not leave'(make) {
    const port = make('sh', ['-c', 'cat; exec sleep 60'], { closeTimeoutMs: WAIT_MS });
    await port.request('a');
    await port.close();
  },
  async 'close() in a backoff'(make) {
    const port = await inBackoff(make);
    await port.close();
  },
  async 'close() in a backoff with a request that waits'(make) {
    const port = await inBackoff(make);
    port.request('a').catch(ignore);
    await port.close();
  },
  async 'close() in the tick of restart()'(make) {
    const port = make('perl', [obeys]);
    port.restart();
    await port.close();
  },
  async 'close() of a broken port'(make) {
    const port = make('no-such-program');
    await port.request('a').catch(ignore);
    await port.close();
  },
  async 'close() in the midst of a planned replacement'(make) {
    const port = await warm(make);
    port.restart();
    await port.close();
  },
  async 'close() and then destroy() of a closed port'(make) {
    const port = await warm(make);
    await port.close();
    await port.destroy();
    await port.close();
  },
  async 'await using'(make) {
    await using port = await warm(make);
    port.request(`slowly ${WAIT_MS} x`).catch(ignore);
  },
  async 'await using, left by a throw'(make) {
    try {
      await using port = await warm(make);
      port.request(`slowly ${WAIT_MS} x`).catch(ignore);
      throw new Error('out');
    } catch {
      // that was all it was for
    }
  },
  async 'a request that takes its time'(make) {
    const port = await warm(make);
    await port.request(`slowly ${WAIT_MS} x`);
  },
  async 'a request behind another'(make) {
    const port = await warm(make);
    void port.request(`slowly ${WAIT_MS} x`);
    await port.request(`slowly ${WAIT_MS} x`);
  },
  async 'a request that waits for a restart'(make) {
    const script = 'mkdir "$0" 2>/dev/null && exit 1; exec cat';
    const directory = path.join(process.env['TMPDIR'] ?? '/tmp', `port-awaits-${process.pid}`);
    const backoff = { minMs: WAIT_MS, maxMs: WAIT_MS };
    const port = await restarting(make('sh', ['-c', script, directory], { backoff }));
    await port.request('a');
    await (await import('node:fs/promises')).rmdir(directory);
  },
  async 'an idempotent request that is sent again and again until it is poison'(make) {
    const port = await warm(make, { backoff: { minMs: WAIT_MS, maxMs: WAIT_MS } });
    await port.request('exit 1', { idempotent: true }).catch(ignore);
  },
  async 'a request that times out'(make) {
    const port = await warm(make);
    await port.request('never', { timeoutMs: WAIT_MS }).catch(ignore);
  },
  async 'a request that is aborted by a timer that keeps no process'(make) {
    const port = await warm(make);
    await port.request('never', { signal: AbortSignal.timeout(WAIT_MS) }).catch(ignore);
  },
  async 'a request after the port was idle'(make) {
    const port = await warm(make);
    await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
    await port.request(`slowly ${WAIT_MS} x`);
  },
  async 'a request to a pool or port whose idle child is killed'(make) {
    const port = make('perl', [obeys]);
    const pid = Number(await port.request('pid'));
    process.kill(pid, 'SIGKILL');
    await port.request(`slowly ${WAIT_MS} x`, { idempotent: true });
  },
  async 'a pipeline through transform()'(make) {
    const port = await warm(make);
    await pipeline(Readable.from([`slowly ${WAIT_MS} a`, `slowly ${WAIT_MS} b`, 'echo c']), port.transform(), sink());
  },
  async 'a pipeline through transform() that fails'(make) {
    const port = await warm(make);
    await pipeline(Readable.from([`slowly ${WAIT_MS} a`, 'exit 1', 'echo c']), port.transform(), sink()).catch(ignore);
  },
  async 'a pipeline through transform() with a slow onError'(make) {
    const port = await warm(make);
    const onError = (): Promise<undefined> => new Promise((resolve) => setTimeout(() => resolve(undefined), WAIT_MS));
    await pipeline(Readable.from(['exit 1', `slowly ${WAIT_MS} a`]), port.transform({ onError }), sink());
  },
  async 'the end of transform() that was destroyed'(make) {
    const port = await warm(make);
    const stage = port.transform();
    stage.write('never');
    const closed = new Promise((resolve) => stage.once('close', resolve));
    stage.once('error', ignore);
    stage.destroy();
    await closed;
    await port.destroy();
  },
  async 'start()'(make) {
    await make('perl', [obeys]).start();
  },
  async 'start() of a program that is missing'(make) {
    await make('no-such-program').start().catch(ignore);
  },
  async 'start() that is overtaken by destroy()'(make) {
    const port = make('perl', [obeys]);
    const started = port.start().catch(ignore);
    const destroyed = port.destroy();
    await started;
    await destroyed;
  },
  async 'start() in a backoff'(make) {
    const script = 'mkdir "$0" 2>/dev/null && exit 1; exec cat';
    const directory = path.join(process.env['TMPDIR'] ?? '/tmp', `port-starts-${process.pid}`);
    const backoff = { minMs: WAIT_MS, maxMs: WAIT_MS };
    const port = await restarting(make('sh', ['-c', script, directory], { backoff }));
    await port.start();
    await port.request('a');
    await (await import('node:fs/promises')).rmdir(directory);
  },
};

const makers: Record<string, Make> = {
  Port: (command, args, options = {}) => new Port(command, args, options),
  PortPool: (command, args, options) => new PortPool(command, args, { ...options, size: 2, minSize: 2 }),
};

async function main(): Promise<void> {
  for (const way of process.argv.slice(4)) {
    await ways[way]!(makers[process.argv[3] ?? '']!);
    console.log(way);
  }
}

if (require.main === module) void main();
