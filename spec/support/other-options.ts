/** Spec files once more, with a PortDuplex that has other options unless it says otherwise. */
import path from 'node:path';
import * as rexport from '../../lib';
import { inSmallOnly } from './in-small-only';
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

/**
 * Spec files, and how the titles begin of those of their specs in which the option takes part in a way of its own: in small
 * these alone are described.
 */
export type Chosen = Readonly<Record<string, readonly string[]>>;

/** For a spec file: its repetitions, or those that it has where it is described once more in small. */
export function onceMore<T>(all: T, some: T): T {
  return isOnceMore ? stressed(all, some) : all;
}

/** To be called where specs are described. */
export function describeWith(option: keyof typeof variables, files: Chosen): void {
  const index = require.cache[require.resolve('../../lib')]!;
  const original: unknown = index.exports;
  // the programs that specs run have this to go by
  before(() => (process.env[variables[option]] = 'true'));
  after(() => delete process.env[variables[option]]);
  index.exports = { ...rexport, PortDuplex: portWith({ [option]: true }) };
  isOnceMore = true;
  try {
    for (const [file, titles] of Object.entries(files)) {
      inSmallOnly(titles, () => describeFile(path.join(__dirname, '..', file)));
    }
  } finally {
    isOnceMore = false;
    index.exports = original;
  }
}

function describeFile(file: string): void {
  const module = require.resolve(file);
  const loadedByMocha = require.cache[module];
  delete require.cache[module];
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  require(module);
  if (loadedByMocha) require.cache[module] = loadedByMocha;
  else delete require.cache[module];
}
