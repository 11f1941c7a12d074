import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import { XMLParser, XMLValidator } from 'fast-xml-parser';
import { chart } from '../../bench/chart';
import { merged, type Results } from '../../bench/results';
import { readNumbers } from '../../scripts/doc-tables';
import { repository } from '../support/pages';

interface Bar {
  readonly '@_class': string;
  readonly '@_x': number;
  readonly '@_width': number;
}

interface Svg {
  readonly svg: {
    readonly style: { readonly '#text': string };
    readonly rect: readonly Bar[];
    readonly line: readonly { readonly '@_class': string; readonly '@_x1': number }[];
    readonly text: readonly { readonly '#text': string }[];
  };
}

function parsed(svg: string): Svg['svg'] {
  expect(XMLValidator.validate(svg)).to.equal(true);
  const isArray = (name: string): boolean => ['rect', 'line', 'text'].includes(name);
  return (
    new XMLParser({ ignoreAttributes: false, parseAttributeValue: true, isArray, alwaysCreateTextNode: true }).parse(
      svg,
    ) as Svg
  ).svg;
}

const results: Results = {
  machine: 'here & <now>',
  answers: [
    {
      name: 'filter/file',
      title: '1 MiB through `cat`',
      subject: 'PortDuplex',
      ratio: 'speed',
      ratios: [
        { against: 'twice as slow', median: 2 },
        { against: 'four times as fast', median: 0.25 },
      ],
    },
    { name: 'spawn/true', title: '1 run', subject: 'x', ratio: 'cost', ratios: [{ against: 'y', median: 2 }] },
  ],
};

describe('the chart of the benches', () => {
  it('has a bar for each ratio, to the right of 1 where it is a win and to the left where it is a loss', () => {
    const { rect, line } = parsed(chart(results));
    const one = line.find((mark) => mark['@_class'] === 'one')!['@_x1'];
    const bars = rect.filter((mark) => mark['@_class'] !== 'paper');
    expect(bars.map((bar) => bar['@_class'])).to.deep.equal(['win', 'loss', 'loss']);
    const [win, loss, cost] = bars.map((bar) => [bar['@_x'], bar['@_x'] + bar['@_width']] as const);
    expect(win![0]).to.equal(one);
    expect(loss![1]).to.be.closeTo(one, 0.2);
    // 1/4 is two doublings to the left, twice the time is one
    expect(loss![1] - loss![0]).to.be.closeTo(2 * (cost![1] - cost![0]), 0.3);
    expect(win![1] - win![0]).to.be.closeTo(cost![1] - cost![0], 0.3);
  });

  it('names the groups, the questions, the others and the ratios', () => {
    const words = parsed(chart(results)).text.map((mark) => mark['#text']);
    expect(words).to.include.members([
      'filter',
      'PortDuplex: 1 MiB through cat',
      'against twice as slow',
      '2.00 x its speed',
      'spawn',
      '2.00 x its time',
    ]);
    expect(words.join()).to.include('here & <now>');
  });

  it('has colours for a light and for a dark page', () => {
    expect(parsed(chart(results)).style['#text']).to.match(
      /--paper: #ffffff.*@media \(prefers-color-scheme: dark\).*--paper: #0d1117/s,
    );
  });

  it('in docs/ is drawn from docs/numbers.json (else: npm run docs)', () => {
    expect(readFileSync(path.join(repository, 'docs', 'numbers.svg'), 'utf8')).to.equal(chart(readNumbers()));
  });

  it('keeps the answers that were not measured anew', () => {
    const [first, second] = results.answers;
    const fresh = { ...second!, ratios: [{ against: 'y', median: 3 }] };
    const added = { ...second!, name: 'pool/new' };
    const all = merged(results, { machine: 'there', answers: [fresh, added] });
    expect(all).to.deep.equal({ machine: 'there', answers: [first, fresh, added] });
  });
});
