/** The third act: requests to a program that is killed again and again. Joined to the acts of examples/demo.ts. */
import { Port, RexPortError } from '../lib';

const SQUARES = `
import sys
source, sink = sys.stdin.buffer, sys.stdout.buffer
while header := source.read(4):
    number = int(source.read(int.from_bytes(header, "big")))
    reply = b"%d" % (number * number)
    sink.write(len(reply).to_bytes(4, "big") + reply)
    sink.flush()
`;

const REQUESTS = 20_000;
const KILL_EVERY = 2000;

export async function survive(title: (line: string) => void, say: (lines: string) => void): Promise<void> {
  title(`${REQUESTS} requests to a Python program that is killed after every ${KILL_EVERY}`);
  await using port = new Port('python3', ['-c', SQUARES], {
    maxInFlight: 16,
    decode: (message) => Number(String(message)),
  });
  let pid: number | undefined;
  let children = 0;
  port.on('spawn', (child) => {
    pid = child.pid;
    children += 1;
  });
  const count = { right: 0, wrong: 0, rejected: 0, again: 0 };
  let asked = 0;

  async function square(number: number): Promise<void> {
    asked += 1;
    if (asked % KILL_EVERY === 0 && pid !== undefined) process.kill(pid, 'SIGKILL');
    try {
      count[(await port.request(String(number))) === number * number ? 'right' : 'wrong'] += 1;
    } catch (error) {
      if (!(error instanceof RexPortError) || error.code !== 'ERR_REXPORT_EXIT') throw error;
      // The child was killed with it. A square may be asked for twice.
      count.rejected += 1;
      await square(number);
      count.again += 1;
    }
  }

  let next = 0;
  const caller = async (): Promise<void> => {
    while (next < REQUESTS) await square(next++);
  };
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: 32 }, caller));
  const seconds = (performance.now() - startedAt) / 1000;
  say(`${children} children, one after another, in ${seconds.toFixed(1)} s`);
  say(
    `${count.rejected} requests were told that their child was killed, were asked again, and ${count.again} were answered`,
  );
  say(
    `${count.right} of ${REQUESTS} replies are the right ones: ${REQUESTS - count.right - count.wrong} lost, ${count.wrong} crossed`,
  );
  if (count.right !== REQUESTS) throw new Error(`expected ${REQUESTS} right replies, got ${count.right}`);
}
