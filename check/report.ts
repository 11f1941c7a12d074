/** The rows as lines for people. */
import type { Row } from './check';
import type { Program } from './conversation';

const NAME_WIDTH = 26;
const FIELDS = ['sent', 'came', 'means', 'fix'] as const;

export function heading({ command, args, wire, channel }: Program): string {
  const where = channel === 'fd3' ? ', on descriptors 3 and 4' : '';
  return `rexport check, ${wire.name}${where}: ${[command, ...args].join(' ')}\n`;
}

export function lines(row: Row): string {
  const begin = `${row.result.padEnd(10)}${row.name.padEnd(NAME_WIDTH)}`;
  if (row.result === 'ok') return begin + row.came;
  if (row.result !== 'failed') return begin + row.why;
  const fields = FIELDS.map((field) => `          ${field.padEnd(7)}${row[field]}`);
  return [begin + row.diagnosis, ...fields].join('\n');
}

export function summary(rows: readonly Row[]): string {
  const failed = rows.filter(({ result }) => result === 'failed').length;
  const run = rows.filter(({ result }) => result === 'ok' || result === 'failed').length;
  return failed === 0 ? `\nconforms: ${run} of ${run} cases` : `\ndoes not conform: ${failed} of ${run} cases failed`;
}
