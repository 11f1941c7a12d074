import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

export interface LinkedModule extends Disposable {
  /** Its path behind a link, as pnpm has the packages of others. */
  readonly linked: string;
  /** Where Node takes it from. */
  readonly real: string;
}

export function linkedModule(): LinkedModule {
  const folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'rexport-spec-')));
  const real = path.join(folder, 'real', 'index.js');
  mkdirSync(path.dirname(real));
  writeFileSync(real, '');
  symlinkSync('real', path.join(folder, 'link'));
  return {
    linked: path.join(folder, 'link', 'index.js'),
    real,
    [Symbol.dispose]: () => rmSync(folder, { recursive: true }),
  };
}
