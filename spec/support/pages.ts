/** README.md and the pages of docs/ as data: their fenced blocks, tables, headings and links. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

export interface Page {
  /** Its path in the repository, with slashes. */
  readonly file: string;
  readonly text: string;
}

export interface Block {
  readonly file: string;
  readonly heading: string;
  readonly language: string;
  readonly code: string;
  /** Where the code begins in its page, counted from 1. */
  readonly line: number;
  /** What a text block right after this one shows. */
  readonly output: string | undefined;
}

export interface Table {
  readonly heading: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export const repository = path.join(__dirname, '..', '..');
/** Made by typedoc: long, without blocks of ours. */
export const GENERATED = 'docs/api.md';

function read(file: string): Page {
  return { file, text: readFileSync(path.join(repository, file), 'utf8') };
}

/** Those that people write. */
export const pages: readonly Page[] = [
  'README.md',
  ...readdirSync(path.join(repository, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .sort()
    .map((name) => `docs/${name}`)
    .filter((file) => file !== GENERATED),
].map(read);

export function page(file: string): Page {
  return pages.find((one) => one.file === file) ?? read(file);
}

export function blocksOf({ file, text }: Page): Block[] {
  const found: Block[] = [];
  for (const match of text.matchAll(/^```(\w+)\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?/gms)) {
    const [, language = '', code = '', output] = match;
    const line = text.slice(0, match.index).split('\n').length + 1;
    found.push({ file, heading: headingAt(text, match.index), language, code, line, output });
  }
  return found;
}

export function tablesOf({ text }: Page): Table[] {
  return [...text.matchAll(/(?:^\|.*\n)+/gm)].map((match) => {
    const [columns = [], , ...rows] = match[0].trimEnd().split('\n').map(cells);
    return { heading: headingAt(text, match.index), columns, rows };
  });
}

export function tableUnder(file: string, heading: string): Table {
  const found = tablesOf(page(file)).filter((table) => table.heading === heading);
  if (found.length !== 1) throw new Error(`${file} has ${found.length} tables under "${heading}", expected 1`);
  return found[0]!;
}

/** What the first column of a table names, without its marks. */
export function namesUnder(file: string, heading: string): string[] {
  return tableUnder(file, heading).rows.flatMap(([names = '']) => names.replaceAll('`', '').split(', '));
}

export interface Link {
  readonly line: number;
  readonly target: string;
}

/** The links outside of code. */
export function linksOf({ text }: Page): Link[] {
  const prose = text.replace(/^```.*?^```$/gms, blank).replace(/`[^`\n]*`/g, blank);
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => ({
    line: prose.slice(0, match.index).split('\n').length,
    target: match[1]!,
  }));
}

/** As GitHub makes them of headings. */
export function anchorsOf({ text }: Page): string[] {
  const prose = text.replace(/^```.*?^```$/gms, blank);
  const seen = new Map<string, number>();
  return [...prose.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => {
    const anchor = heading
      .trim()
      .toLowerCase()
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-');
    const before = seen.get(anchor) ?? 0;
    seen.set(anchor, before + 1);
    return before === 0 ? anchor : `${anchor}-${before}`;
  });
}

/** The same number of lines, without anything on them. */
function blank(text: string): string {
  return text.replace(/[^\n]/g, ' ');
}

function cells(row: string): string[] {
  return row
    .split(/(?<!\\)\|/)
    .slice(1, -1)
    .map((cell) => cell.trim());
}

function headingAt(text: string, position: number): string {
  const before = text.slice(0, position).replace(/^```.*?^```$/gms, blank);
  return [...before.matchAll(/^#+ (.*)$/gm)].at(-1)?.[1] ?? '';
}
