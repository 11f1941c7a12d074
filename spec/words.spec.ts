import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import { GENERATED, repository } from './support/pages';

/** What a reader of today stumbles over, and what to write. */
const AVOIDED: readonly [RegExp, string][] = [
  [/(?<=^|[^,\w] |[.(:;] )\bwho (?:reads|writes|waits|asks|comes)\b/im, 'a noun: "a reader that"'],
  [/\bwhoever\b/i, '"the reader that", "whatever"'],
  [/\bmend(?:s|ed|ing)?\b/i, '"fix"'],
  [/\bfor ever\b/i, '"forever", or say until when'],
  [/\bso many\b/i, '"this many", or the number'],
  [/\b(?:so long|for as long as|as long as (?:somebody|something|it|we)\b)/i, '"while", "until", "for this long"'],
  [/\bbesides\b/i, '"also", "in addition to", "other than"'],
  [/\b(?:bears?|borne)\b/i, '"tolerates", "waits"'],
  [/\bit is told\b/i, '"it learns", "it is asked"'],
];

const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { cwd: repository })
  .toString()
  .trimEnd()
  .split('\n')
  .filter((file) => /\.(?:ts|mts|cts|mjs|cjs|md|py|c|rs|rb|pl|java|sh|yml)$/.test(file))
  .filter((file) => file !== GENERATED && file !== 'spec/words.spec.ts');

describe('the words of docs, comments and messages', () => {
  for (const [phrase, better] of AVOIDED) {
    it(`have no ${phrase.source}; rather ${better}`, () => {
      const found = files.flatMap((file) => {
        let lines: string[];
        try {
          lines = readFileSync(path.join(repository, file), 'utf8').split('\n');
        } catch {
          return []; // listed by git, and removed in the working tree
        }
        return lines.flatMap((line, at) => (phrase.test(line) ? [`${file}:${at + 1}: ${line.trim()}`] : []));
      });
      expect(found).to.deep.equal([]);
    });
  }
});
