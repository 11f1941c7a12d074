/**
 * The producer of queue.ts, a process of its own so that it can be killed: SERVER FILE ROWS FAULTS. It goes on where the
 * file ends.
 */
import { createWriteStream, existsSync, readFileSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { connect } from '@nats-io/transport-node';
import { PortQueue } from '../lib/jetstream';
import { deadLine, rows } from './queue-rows';

async function main(): Promise<void> {
  const [servers = '', file = '', count = '0', faults = 'none'] = process.argv.slice(2);
  const written = existsSync(file) ? readFileSync(file, 'utf8') : '';
  const safe = written.slice(0, written.lastIndexOf('\n') + 1);
  const from = safe.split('\n').length - 1;
  const connection = await connect({ servers, maxReconnectAttempts: -1, reconnectTimeWait: 100 });
  const queue = new PortQueue<string, string>(connection, 'reviews', { decode: String, republishMs: 5000 });

  function* left(): Generator<string> {
    let number = 0;
    for (const row of rows(Number(count), faults === 'faults')) if (number++ >= from) yield row;
  }
  async function* lines(replies: AsyncIterable<string>): AsyncGenerator<string> {
    for await (const reply of replies) yield `${reply}\n`;
  }
  const letters: string[] = [];
  const stage = queue.transform({
    job: 'import',
    from,
    batch: 8,
    onError: (error, row) => {
      const line = deadLine(row, (error as { code?: unknown }).code);
      letters.push(line);
      return line;
    },
  });
  // A line that was cut by a kill is written anew.
  const start = Buffer.byteLength(safe);
  await pipeline(left, stage, lines, createWriteStream(file, start === 0 ? {} : { flags: 'r+', start }));
  process.stdout.write(JSON.stringify(queue.statistics()));
  await queue.close();
  await connection.close();
}

void main();
