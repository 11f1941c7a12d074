/** Spec files a second time, with a PortDuplex that is redirected unless it is told otherwise. */
import path from 'node:path';
import * as rexport from '../../lib';

class RedirectedPort extends rexport.PortDuplex {
  constructor(
    command: string,
    second?: readonly string[] | rexport.PortDuplexOptions,
    third?: rexport.PortDuplexOptions,
  ) {
    const isShort = third === undefined && !Array.isArray(second);
    const [args, options] = isShort ? [[], second as rexport.PortDuplexOptions] : [second as string[], third];
    super(command, args, { redirect: true, ...options });
  }
}

/** To be called where specs are described. */
export function describeRedirected(files: readonly string[]): void {
  const index = require.cache[require.resolve('../../lib')]!;
  const original: unknown = index.exports;
  // the programs that specs run have this to go by
  before(() => (process.env['SPEC_REDIRECT'] = 'true'));
  after(() => delete process.env['SPEC_REDIRECT']);
  index.exports = { ...rexport, PortDuplex: RedirectedPort };
  try {
    for (const file of files) {
      const module = require.resolve(path.join(__dirname, '..', file));
      const loadedByMocha = require.cache[module];
      delete require.cache[module];
      // eslint-disable-next-line @typescript-eslint/no-require-imports
      require(module);
      if (loadedByMocha) require.cache[module] = loadedByMocha;
      else delete require.cache[module];
    }
  } finally {
    index.exports = original;
  }
}
