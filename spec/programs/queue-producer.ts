/** Sends rows through a queue and appends the replies to a file, from where the file ends: SERVER QUEUE JOB FILE ROWS [OPTIONS]. */
import { createWriteStream, existsSync, readFileSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { connect } from '@nats-io/transport-node';
import { PortQueue } from '../../lib/jetstream';

async function main(): Promise<void> {
  const [servers = '', name = '', job = '', file = '', count = '0', options = '{}'] = process.argv.slice(2);
  const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
  const from = text.split('\n').length - 1;
  const connection = await connect({ servers, maxReconnectAttempts: -1, reconnectTimeWait: 50 });
  const queue = new PortQueue(connection, name);
  function* rows(): Generator<string> {
    for (let n = from; n < Number(count); n += 1) yield `row ${n}`;
  }
  async function* lines(replies: AsyncIterable<Buffer>): AsyncGenerator<string> {
    for await (const reply of replies) yield `${String(reply)}\n`;
  }
  // A line that was cut by the kill is written again.
  const start = Buffer.byteLength(text.slice(0, text.lastIndexOf('\n') + 1));
  const sink = createWriteStream(file, start === 0 ? {} : { flags: 'r+', start });
  const stage = queue.transform({ job, from, ...(JSON.parse(options) as object) });
  await pipeline(rows, stage, lines, sink);
  console.log(JSON.stringify(queue.statistics()));
  await queue.close();
  await connection.close();
}

void main();
