/** The README as data: its fenced blocks and its tables, by the heading that they stand under. */
import { readFileSync } from 'node:fs';
import path from 'node:path';

export interface Block {
  readonly heading: string;
  readonly language: string;
  readonly code: string;
  /** Where the code begins in README.md, counted from 1. */
  readonly line: number;
  /** What a text block right after this one shows. */
  readonly output: string | undefined;
}

export interface Table {
  readonly heading: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export const readme = readFileSync(path.join(__dirname, '..', '..', 'README.md'), 'utf8');

export function blocks(): Block[] {
  const found: Block[] = [];
  for (const match of readme.matchAll(/^```(\w+)\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?/gms)) {
    const [, language = '', code = '', output] = match;
    const line = readme.slice(0, match.index).split('\n').length + 1;
    found.push({ heading: headingAt(match.index), language, code, line, output });
  }
  return found;
}

export function tables(): Table[] {
  return [...readme.matchAll(/(?:^\|.*\n)+/gm)].map((match) => {
    const [columns = [], , ...rows] = match[0].trimEnd().split('\n').map(cells);
    return { heading: headingAt(match.index), columns, rows };
  });
}

export function tableUnder(heading: string): Table {
  const found = tables().filter((table) => table.heading === heading);
  if (found.length !== 1) throw new Error(`README.md has ${found.length} tables under "${heading}", expected 1`);
  return found[0]!;
}

function cells(row: string): string[] {
  return row
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());
}

function headingAt(position: number): string {
  return [...readme.slice(0, position).matchAll(/^#+ (.*)$/gm)].at(-1)?.[1] ?? '';
}
