/**
 * For `mocha --require`: keeps the workers of mocha light. A fork copies the page table of the process that forks, and these
 * fork thousands of times: out of 1 GB one takes ten times as long as out of 60 MB.
 */
const { setFlagsFromString } = require('node:v8');
const { runInNewContext } = require('node:vm');

// read by glibc when a worker starts: from this size on, a block goes back to the system when it is freed, whatever was
// freed before
process.env.MALLOC_MMAP_THRESHOLD_ ??= '131072';

const HEAVY_BYTES = 150 << 20;
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc');

exports.mochaHooks = {
  /** After each file. */
  afterAll() {
    if (process.memoryUsage.rss() > HEAVY_BYTES) collectGarbage();
  },
};
