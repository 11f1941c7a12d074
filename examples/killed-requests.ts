/** Requests to a program that is killed again and again: an act of demo.ts. */
import { Port, RexPortError } from '../lib';

/** Any language does it; this one is surely here. */
const SQUARES = `
let rest = Buffer.alloc(0);
process.stdin.on('data', (chunk) => {
  rest = Buffer.concat([rest, chunk]);
  while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32BE()) {
    const end = 4 + rest.readUInt32BE();
    const reply = String(Number(rest.subarray(4, end)) ** 2);
    const header = Buffer.alloc(4);
    header.writeUInt32BE(reply.length);
    process.stdout.write(Buffer.concat([header, Buffer.from(reply)]));
    rest = rest.subarray(end);
  }
});
`;

const KILL_EVERY = 2000;

export async function survive(
  requests: number,
  title: (line: string) => void,
  say: (lines: string) => void,
): Promise<void> {
  title(`${requests} requests to a program that is killed after every ${KILL_EVERY}`);
  await using port = new Port(process.execPath, ['-e', SQUARES], {
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
    while (next < requests) await square(next++);
  };
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: 32 }, caller));
  const seconds = (performance.now() - startedAt) / 1000;
  say(`${children} children, one after another, in ${seconds.toFixed(1)} s: ${port.restarts} restarts`);
  say(
    `${count.rejected} requests were with a child that was killed, and rejected; asked again, ${count.again} were answered`,
  );
  say(
    `${count.right} of ${requests} replies are the right ones: ${requests - count.right - count.wrong} lost, ${count.wrong} crossed`,
  );
  if (count.right !== requests) throw new Error(`expected ${requests} right replies, got ${count.right}`);
}
