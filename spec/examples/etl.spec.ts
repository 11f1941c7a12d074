import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { expect } from 'chai';
import { scripts } from '../../package.json';
import { stressed } from '../support/stress';

interface Review {
  readonly id: number;
  readonly text: string | null;
}

interface Letter {
  readonly id?: number;
  readonly line?: number;
  readonly error: string;
}

/** Small, it has one row of each kind that is put aside. */
const MEGABYTES = stressed(2, 1.1);
const root = path.join(__dirname, '..', '..');
const FEELING = new Map(
  Object.entries({ good: 1, great: 2, perfect: 3, love: 2, bad: -1, poor: -2, broken: -3, hate: -2 }),
);

/** What the program in Python should have made of it. */
function scored({ id, text: review }: Review): object {
  const words = review?.toLowerCase().match(/[a-z]+/g) ?? [];
  return {
    id,
    words: words.length,
    distinct: new Set(words).size,
    syllables: words.reduce((sum, word) => sum + (word.match(/[aeiouy]+/g)?.length ?? 0), 0),
    feeling: words.reduce((sum, word) => sum + (FEELING.get(word) ?? 0), 0),
    bytes: Buffer.byteLength(review ?? ''),
  };
}

function linesOf(file: string): string[] {
  return readFileSync(file, 'utf8').trimEnd().split('\n');
}

describe('the ETL example', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'rexport-spec-'));
  let stdout: string;

  before('run it, small', async function () {
    // what `npm run etl` runs, without npm's own words in the output
    const [command = '', ...args] = scripts.etl.split(' ');
    const etl = spawn(
      process.execPath,
      [
        path.join(root, 'node_modules', '.bin', command),
        ...args,
        '--megabytes',
        String(MEGABYTES),
        '--children',
        '3',
        '--folder',
        folder,
      ],
      { cwd: root },
    );
    const exit = once(etl, 'close');
    let stderr: string;
    [stdout, stderr] = await Promise.all([text(etl.stdout), text(etl.stderr)]);
    expect(await exit, stderr).to.deep.equal([0, null]);
  });

  after(() => rmSync(folder, { recursive: true }));

  for (const [what, suffix] of [
    ['three children', ''],
    ['one child', '-of-one'],
  ]) {
    it(`scores every sound row, in order, and puts aside every other one: ${what}`, () => {
      const expected: object[] = [];
      const dead: { line?: number; id?: number; error: RegExp }[] = [];
      linesOf(path.join(folder, 'reviews.ndjson')).forEach((line, index) => {
        let review: Review;
        try {
          review = JSON.parse(line) as Review;
        } catch {
          dead.push({ line: index + 1, error: /JSON/ });
          return;
        }
        if (review.text === null) dead.push({ id: review.id, error: /^the review has no text$/ });
        else if (/[\ud800-\udfff]/.test(review.text))
          dead.push({ id: review.id, error: /^2 children of python3 died .*UnicodeEncodeError/s });
        else expected.push(scored(review));
      });
      expect(expected.length).to.be.above(stressed(1500, 950));
      expect(dead.length).to.be.at.least(stressed(4, 3));
      const scores = linesOf(path.join(folder, `scores${suffix}.ndjson`));
      expect(scores.length).to.equal(expected.length);
      for (const [at, score] of scores.entries()) expect(JSON.parse(score)).to.deep.equal(expected[at]);

      // letters come in the order in which they failed
      const letters = linesOf(path.join(folder, `dead-letters${suffix}.ndjson`)).map(
        (line) => JSON.parse(line) as Letter,
      );
      expect(letters.length).to.equal(dead.length);
      for (const { line, id, error } of dead) {
        const letter = letters.find((one) => (line === undefined ? one.id === id : one.line === line));
        expect(letter?.error, `row ${line ?? id}`).to.match(error);
      }
    });
  }

  it('tells what it did', () => {
    const rows = linesOf(path.join(folder, 'reviews.ndjson')).length;
    const letters = linesOf(path.join(folder, 'dead-letters.ndjson')).map((line) => JSON.parse(line) as Letter);
    const ofPool = letters.filter(({ id }) => id !== undefined);
    const deadly = ofPool.filter(({ error }) => error.includes('children of python3 died')).length;
    expect(deadly).to.be.above(0);
    const parts = [letters.length - ofPool.length, ofPool.length - deadly, deadly];
    expect(stdout).to.match(/^Needs python3, and \d+\.\d MB in .*; takes about \d+ (?:seconds|minutes)\.$/m);
    expect(numbers(/^ {2}(\d+) rows in = (\d+) scores \+ (\d+) dead letters$/gm)).to.deep.equal(
      twice([rows, rows - letters.length, letters.length]),
    );
    expect(numbers(/^ {2}dead letters: (\d+) not JSON, (\d+) that .*refused, (\d+) that it died of/gm)).to.deep.equal(
      twice(parts),
    );
    // The job may be over before the child is there that follows the last one.
    const restarts = numbers(/^ {2}(\d+) restarts: a row that the program dies of is tried in two/gm).flat();
    expect(restarts).to.have.length(2);
    for (const count of restarts) expect(count).to.be.within(2 * deadly - 1, 2 * deadly);
    expect(stdout.match(/^ {2}lane \d: \d+ requests, \d+ failed, \d+ restarts, \d+% busy, /gm)).to.have.length(3 + 1);
    expect(stdout).to.match(/^3 children were \d+\.\d\d x as fast as one$/m);

    function numbers(pattern: RegExp): number[][] {
      return [...stdout.matchAll(pattern)].map((found) => found.slice(1).map(Number));
    }
    /** The job in several children, and that in one. */
    function twice<T>(value: T): T[] {
      return [value, value];
    }
  });
});
