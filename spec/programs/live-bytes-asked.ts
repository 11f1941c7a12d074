/** Loaded before another program by `node --require`: at each SIGUSR2 that says on stderr what it holds, as `live BYTES`. */
import { writeSync } from 'node:fs';
import { liveBytes } from '../support/memory';

process.on('SIGUSR2', () => void liveBytes().then((bytes) => writeSync(2, `live ${bytes}\n`)));
