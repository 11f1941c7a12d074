/** Spec files once more, with a PortDuplex that has other options unless it says otherwise. */
import path from 'node:path';
import * as rexport from '../../lib';
import { stressed } from './stress';

/** An option that is to change nothing, and the variable by which the programs that specs run learn of it. */
const variables = { redirect: 'SPEC_REDIRECT', pipes: 'SPEC_PIPES' } as const;

function portWith(others: rexport.PortDuplexOptions): typeof rexport.PortDuplex {
  return class PortDuplex extends rexport.PortDuplex {
    constructor(
      command: string,
      second?: readonly string[] | rexport.PortDuplexOptions,
      third?: rexport.PortDuplexOptions,
    ) {
      const isShort = third === undefined && !Array.isArray(second);
      const [args, options] = isShort ? [[], second as rexport.PortDuplexOptions] : [second as string[], third];
      super(command, args, { ...others, ...options });
    }
  };
}

let isOnceMore = false;

/** For a spec file: its cases, or, where it is described once more in small, those in which the option takes part. */
export function onceMore<T>(all: T, some: T): T {
  return isOnceMore ? stressed(all, some) : all;
}

/** To be called where specs are described. */
export function describeWith(option: keyof typeof variables, files: readonly string[]): void {
  const index = require.cache[require.resolve('../../lib')]!;
  const original: unknown = index.exports;
  // the programs that specs run have this to go by
  before(() => (process.env[variables[option]] = 'true'));
  after(() => delete process.env[variables[option]]);
  index.exports = { ...rexport, PortDuplex: portWith({ [option]: true }) };
  isOnceMore = true;
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
    isOnceMore = false;
    index.exports = original;
  }
}
