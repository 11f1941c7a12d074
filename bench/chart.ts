/**
 * The results as a picture: a bar for each ratio, grouped by bench, on one logarithmic scale of "times as fast". Bars to
 * the right of the line at 1 are wins. Light and dark, as the reader's system asks.
 */
import { inWords, type Answer, type Results } from './results';

const WIDTH = 880;
const LABELS = 300;
const FIGURES = 130;
const LEFT = LABELS + 12;
const RIGHT = WIDTH - FIGURES;
const ROW = 20;
const BAR = 12;
/** The ends of the scale, in times as fast: wider where a result asks for it. */
const NARROWEST: readonly [number, number] = [0.25, 4];

const STYLE = `
  svg { --ink: #1f2328; --quiet: #59636e; --line: #d1d9e0; --win: #1a7f64; --loss: #bc6c25; --paper: #ffffff; }
  @media (prefers-color-scheme: dark) {
    svg { --ink: #f0f6fc; --quiet: #9198a1; --line: #3d444d; --win: #3fb68b; --loss: #e0974f; --paper: #0d1117; }
  }
  text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: var(--ink); }
  .paper { fill: var(--paper); }
  .head { font-weight: 600; font-size: 14px; }
  .question, .tick { fill: var(--quiet); }
  .question { paint-order: stroke; stroke: var(--paper); stroke-width: 5px; }
  .grid { stroke: var(--line); }
  .one { stroke: var(--quiet); }
  .win { fill: var(--win); }
  .loss { fill: var(--loss); }
`;

/** How many times as fast the subject was: a cost of 2 is half as fast. */
function timesAsFast({ ratio }: Answer, median: number): number {
  return ratio === 'speed' ? median : 1 / median;
}

export function chart({ machine, answers }: Results): string {
  const all = answers.flatMap((answer) => answer.ratios.map(({ median }) => timesAsFast(answer, median)));
  const low = 2 ** Math.floor(Math.log2(Math.min(NARROWEST[0], ...all)));
  const high = 2 ** Math.ceil(Math.log2(Math.max(NARROWEST[1], ...all)));
  const x = (times: number): number => round(LEFT + ((RIGHT - LEFT) * Math.log(times / low)) / Math.log(high / low));
  const marks: string[] = [];
  let y = 40;
  for (const [bench, questions] of groups(answers)) {
    y += 26;
    marks.push(text(8, y, bench, 'head'));
    y += 2;
    for (const answer of questions) {
      y += ROW;
      marks.push(text(8, y, `${answer.subject}: ${answer.title}`, 'question'));
      for (const one of answer.ratios) {
        y += ROW;
        const times = timesAsFast(answer, one.median);
        const [from, to] = [Math.min(x(1), x(times)), Math.max(x(1), x(times))];
        const kind = times >= 1 ? 'win' : 'loss';
        marks.push(text(LABELS, y, `against ${one.against}`, undefined, 'end'));
        marks.push(
          `<rect class="${kind}" x="${from}" y="${y - BAR + 2}" width="${Math.max(1, round(to - from))}" height="${BAR}" rx="2"/>`,
        );
        marks.push(text(RIGHT + 10, y, inWords(answer, one)));
      }
    }
    y += 2;
  }
  const bottom = y + 4;
  const grid = ticks(low, high).map((times) => {
    const at = x(times);
    const line = `<line class="${times === 1 ? 'one' : 'grid'}" x1="${at}" x2="${at}" y1="44" y2="${bottom}"/>`;
    return line + text(at, 38, `${times < 1 ? `1/${1 / times}` : times} x`, 'tick', 'middle');
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${bottom + 12}" width="${WIDTH}" height="${bottom + 12}" role="img">
<title>How many times as fast RexPort is as others</title>
<desc>${escaped(`${machine}. Bars to the right of 1 are wins, bars to the left are losses.`)}</desc>
<style>${STYLE}</style>
<rect class="paper" width="100%" height="100%"/>
${text(8, 20, `Times as fast as others: right of 1 is faster, left is slower. ${machine}`, 'tick')}
${[...grid, ...marks].join('\n')}
</svg>
`;
}

function ticks(low: number, high: number): number[] {
  const found = [];
  for (let times = low; times <= high; times *= 2) found.push(times);
  return found;
}

function text(x: number, y: number, words: string, kind?: string, anchor?: string): string {
  const attributes = [kind && ` class="${kind}"`, anchor && ` text-anchor="${anchor}"`].filter(Boolean).join('');
  return `<text x="${x}" y="${y}"${attributes}>${escaped(words.replaceAll('`', ''))}</text>`;
}

function escaped(words: string): string {
  return words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

/** By bench, in the order in which they come. */
function groups(answers: readonly Answer[]): Map<string, Answer[]> {
  const found = new Map<string, Answer[]>();
  for (const answer of answers) {
    const [bench = ''] = answer.name.split('/');
    found.set(bench, [...(found.get(bench) ?? []), answer]);
  }
  return found;
}
