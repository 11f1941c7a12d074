/** Uses ports, leaves some of them as they are, and has nothing more to do: nothing but a port may keep it. */
import { Port } from '../../lib/port/port';

/** Answers 300 ms after it was asked. */
const slowEcho = 'sysread STDIN, my $asked, 99; select undef, undef, undef, 0.3; syswrite STDOUT, $asked; <STDIN>';

/** Keeps this process while the request takes, and no longer. */
async function idle(): Promise<void> {
  const port = new Port('perl', ['-e', slowEcho]);
  let pid: number | undefined;
  port.once('spawn', (child) => (pid = child.pid));
  console.log(`reply: ${String(await port.request('slow'))}, pid: ${pid}`);
}

async function ended(): Promise<void> {
  const closed = new Port('cat');
  await closed.request('a');
  await closed.close();
  await closed.destroy();

  const destroyed = new Port('sleep', ['30']);
  const outcome = destroyed.request('a').catch(() => undefined);
  await destroyed.destroy();
  await outcome;

  const broken = new Port('no-such-program');
  await broken.request('a').catch(() => undefined);

  const deaf = new Port('sleep', ['30']);
  await deaf.request('a', { signal: AbortSignal.timeout(50) }).catch(() => undefined);
  await deaf.request('a', { timeoutMs: 50 }).catch(() => undefined);
}

void ended().then(idle);
