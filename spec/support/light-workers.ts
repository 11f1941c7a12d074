/**
 * For `mocha --require`: keeps the workers of mocha light. A fork copies the page table of the process that forks, and these
 * fork thousands of times: out of 1 GB one takes ten times as long as out of 60 MB.
 */
import type { RootHookObject } from 'mocha';
import { collectGarbage } from './memory';

// read by glibc when a worker starts: from this size on, a block goes back to the system when it is freed, whatever was
// freed before
process.env['MALLOC_MMAP_THRESHOLD_'] ??= '131072';

// a Node that starts with it reads every certificate of that file, which is two thirds of its start; no spec speaks TLS
delete process.env['NODE_EXTRA_CA_CERTS'];

const HEAVY_BYTES = 250 << 20;

export const mochaHooks: RootHookObject = {
  /** After each file. */
  async afterAll() {
    if (process.memoryUsage.rss() > HEAVY_BYTES) await collectGarbage();
  },
};
