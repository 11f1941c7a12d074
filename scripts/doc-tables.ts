/**
 * Writes what README and docs/ say of other files, so that each is said once: `npm run docs`.
 *
 * Tables of options, events and figures come from the doc comments in lib. A page asks for one by `<!-- options: Interface, Interface -->`, up to `<!-- end -->`; `- name, name`
 * behind the interfaces leaves members out.
 *
 * What a comment says as "Default X." is the column `default`. Members with `@internal` are left out.
 *
 * `<!-- verdicts -->` is the table of what `rexport check` can find.
 *
 * Tables of numbers come from docs/numbers.json: `<!-- numbers -->` has them all, `<!-- numbers: question against; ... -->`
 * some. docs/numbers.svg is drawn from it too.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { chart } from '../bench/chart';
import { inWords, type Results } from '../bench/results';
import { ADVICE } from '../check/findings';

interface Member {
  readonly name: string;
  readonly default: string;
  readonly text: string;
}

const repository = join(__dirname, '..');
const MARKED = /<!-- options: ([\w, -]+) -->\n(.*?)<!-- end -->/gs;
const VERDICTS = /<!-- verdicts -->\n(.*?)<!-- end -->/gs;
const NUMBERS = /<!-- numbers(?:: ([^>]+))? -->\n(.*?)<!-- end -->/gs;
const DEFAULT = /(?:^|(?<=[.;] ))Default:? ((?:`[^`]*`|[^.`]|\.(?=\S))+)\. ?/;

/** A page with its tables as the comments and the numbers are now. */
export function withTables(page: string): string {
  return withVerdicts(withNumbers(page)).replace(MARKED, (_, names: string) => {
    const [wanted = '', without = ''] = names.split(' - ');
    const members = wanted.split(', ').flatMap(membersOf);
    const kept = members.filter(({ name }) => !without.split(', ').includes(name.replaceAll('`', '')));
    return `<!-- options: ${names} -->\n\n${tableOf(kept)}\n<!-- end -->`;
  });
}

function withVerdicts(page: string): string {
  const rows = Object.entries(ADVICE).map(([name, { means, fix }]) => [`\`${name}\``, means, fix]);
  return page.replace(VERDICTS, () => {
    return `<!-- verdicts -->\n\n${rowsOf(['Verdict', 'It means', 'What to do'], rows)}\n<!-- end -->`;
  });
}

export function readNumbers(): Results {
  return JSON.parse(readFileSync(join(repository, 'docs', 'numbers.json'), 'utf8')) as Results;
}

function withNumbers(page: string): string {
  const all = readNumbers().answers.flatMap((answer) =>
    answer.ratios.map((ratio) => ({
      key: `${answer.name} ${ratio.against}`,
      cells: [`${answer.subject}: ${answer.title}`, ratio.against, inWords(answer, ratio), `\`${answer.name}\``],
    })),
  );
  return page.replace(NUMBERS, (_, wanted: string | undefined) => {
    const rows = wanted?.split('; ').map((key) => {
      const row = all.find((one) => one.key === key);
      if (row === undefined) throw new Error(`expected a ratio of docs/numbers.json, got ${key}`);
      return row.cells.slice(0, 3);
    });
    const head = ['What', 'Against', 'Ratio'];
    const table =
      rows === undefined
        ? rowsOf(
            [...head, 'Bench'],
            all.map(({ cells }) => cells),
          )
        : rowsOf(head, rows);
    return `<!-- numbers${wanted === undefined ? '' : `: ${wanted}`} -->\n\n${table}\n<!-- end -->`;
  });
}

let interfaces: ReadonlyMap<string, ts.InterfaceDeclaration> | undefined;

function membersOf(name: string): Member[] {
  interfaces ??= readInterfaces();
  const declaration = interfaces.get(name);
  if (declaration === undefined) throw new Error(`expected an interface of lib, got ${name}`);
  return declaration.members.flatMap((member) => {
    const [doc] = ts.getJSDocCommentsAndTags(member).filter(ts.isJSDoc);
    if (member.name === undefined || ts.isComputedPropertyName(member.name)) return [];
    if (doc?.tags?.some(({ tagName }) => tagName.text === 'internal') === true) return [];
    const said = (ts.getTextOfJSDocComment(doc?.comment) ?? '').replace(/\s+/g, ' ').trim();
    const [sentence, value = ''] = DEFAULT.exec(said) ?? [''];
    const text = said.replace(sentence, '').trim();
    return [{ name: heading(member), default: value, text }];
  });
}

/** An option by its name; an event, whose type is the tuple of its arguments, with them. */
function heading(member: ts.TypeElement): string {
  const name = `\`${member.name?.getText()}\``;
  if (!ts.isPropertySignature(member) || member.type === undefined || !ts.isTupleTypeNode(member.type)) return name;
  const args = member.type.elements.map((element) => (ts.isNamedTupleMember(element) ? element.name.text : '...'));
  return `${name} (${args.join(', ')})`;
}

function tableOf(members: readonly Member[]): string {
  const hasDefaults = members.some((member) => member.default !== '');
  const head = hasDefaults ? ['Option', 'Default', 'What it means'] : ['Name', 'What it is'];
  const rows = members.map((member) =>
    hasDefaults ? [member.name, member.default, member.text] : [member.name, member.text],
  );
  return rowsOf(head, rows);
}

function rowsOf(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`;
  return [head, head.map(() => '---'), ...rows].map(line).join('');
}

function readInterfaces(): Map<string, ts.InterfaceDeclaration> {
  const found = new Map<string, ts.InterfaceDeclaration>();
  const lib = join(repository, 'lib');
  for (const name of readdirSync(lib, { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.ts')) continue;
    const source = ts.createSourceFile(name, readFileSync(join(lib, name), 'utf8'), ts.ScriptTarget.ES2022, true);
    for (const statement of source.statements) {
      if (ts.isInterfaceDeclaration(statement)) found.set(statement.name.text, statement);
    }
  }
  return found;
}

async function main(): Promise<void> {
  const { format, resolveConfig } = await import('prettier');
  const pages = readdirSync(join(repository, 'docs')).filter((name) => name.endsWith('.md') && name !== 'api.md');
  for (const name of ['README.md', ...pages.map((page) => join('docs', page))]) {
    const file = join(repository, name);
    const page = readFileSync(file, 'utf8');
    const settings = await resolveConfig(file);
    const written = await format(withTables(page), { ...settings, parser: 'markdown' });
    if (written === page) continue;
    writeFileSync(file, written);
    console.log(`${name} is written anew`);
  }
  writeFileSync(join(repository, 'docs', 'numbers.svg'), chart(readNumbers()));
}

if (require.main === module) void main();
