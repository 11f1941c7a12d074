/** The few checks that all options go through. Each throws at once and says what was expected and what came. */
import { inspect } from 'node:util';

/** The share of its letters in which an unknown name may differ from the one that is guessed. */
const MOST_EDITED = 0.34;
/** The letters that it takes to guess a name from its begin. */
const FEWEST_GUESSED_FROM = 4;

/** A value as it reads after "got": one line, whatever it is. */
export function shown(value: unknown): string {
  const text = inspect(value, { depth: 0, breakLength: Infinity, maxStringLength: 60, maxArrayLength: 3 });
  const line = text.replace(/\s*\n\s*/g, ' ');
  return line.length > 100 ? `${line.slice(0, 97)}...` : line;
}

/** The same for a value that may be a secret: arguments and environments are never told. */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

/** A list as it reads in a sentence: `1, 2 or 4`. */
function alternatives(values: readonly unknown[]): string {
  const texts = values.map((value) => inspect(value));
  return texts.length < 2 ? texts.join() : `${texts.slice(0, -1).join(', ')} or ${texts.at(-1)}`;
}

/**
 * The options of `what` as a plain object of their own: of each known name that `given` has, by itself or from a class or
 * another prototype, the value, read once. What stands on `Object.prototype` is nobody's option.
 * @throws TypeError when `given` is no set of options, or has an enumerable name that is not in `known`
 */
export function optionsOf<Options extends object>(
  what: string,
  given: Options,
  known: readonly PropertyKey[],
): Options {
  refuseUnknown(what, given, known);
  const holders = prototypesOf(given);
  const names = known.filter((name) => holders.some((holder) => Object.hasOwn(holder, name)));
  return Object.fromEntries(names.map((name) => [name, given[name as keyof Options]])) as Options;
}

/** @throws TypeError when `given` is no set of options or has a name, its own or inherited, that is not in `known`. */
export function refuseUnknown(what: string, given: unknown, known: readonly PropertyKey[]): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new TypeError(`expected the options of ${what} to be an object, got ${shown(given)}`);
  }
  for (const key of prototypesOf(given).flatMap((holder) => Object.keys(holder))) {
    if (known.includes(key)) continue;
    const names = known.filter((name) => typeof name === 'string');
    const near = nearest(key, names);
    const guess = near === undefined ? '' : `; did you mean \`${near}\`?`;
    throw new TypeError(`expected the options of ${what} to be among ${names.join(', ')}, got \`${key}\`${guess}`);
  }
}

/** The object and its prototypes, without the `Object.prototype` of whatever realm. */
function prototypesOf(object: object): object[] {
  const chain: object[] = [];
  for (let next: object | null = object; next !== null; next = Object.getPrototypeOf(next) as object | null) {
    if (Object.getPrototypeOf(next) !== null || !Object.hasOwn(next, 'isPrototypeOf')) chain.push(next);
  }
  return chain;
}

/** The known name that was most likely meant: the fewest edits away, or one that begins with it. */
function nearest(key: string, known: readonly string[]): string | undefined {
  const given = key.toLowerCase();
  let best: string | undefined;
  let fewest = Infinity;
  for (const name of known) {
    const target = name.toLowerCase();
    const most = Math.max(given.length, target.length) * MOST_EDITED;
    const isBegin = given.length >= FEWEST_GUESSED_FROM && target.startsWith(given);
    if (!isBegin && Math.abs(given.length - target.length) > most) continue;
    const edits = isBegin ? 1 : editsBetween(given, target);
    if (edits < fewest && (isBegin || edits <= most)) [best, fewest] = [name, edits];
  }
  return best;
}

/** Letters added, left out, replaced, or swapped with the next: the fewest of them that make one text of the other. */
function editsBetween(from: string, to: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, at) => at);
  for (let i = 1; i <= from.length; i++) {
    const row = [i];
    for (let j = 1; j <= to.length; j++) {
      const isSame = from[i - 1] === to[j - 1];
      const isSwap = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1];
      const swapped = isSwap ? (beforeLast[j - 2] ?? 0) + 1 : Infinity;
      row.push(Math.min((row[j - 1] ?? 0) + 1, (last[j] ?? 0) + 1, (last[j - 1] ?? 0) + (isSame ? 0 : 1), swapped));
    }
    [beforeLast, last] = [last, row];
  }
  return last[to.length] ?? 0;
}

/** @throws TypeError for what is no number, RangeError for a fraction, NaN or a number outside `min` to `max`. */
export function integer(name: string, value: unknown, min: number, max: number): number {
  if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) return value as number;
  const message = `expected \`${name}\` to be an integer from ${min} to ${max}, got ${shown(value)}`;
  throw typeof value === 'number' ? new RangeError(message) : new TypeError(message);
}

/** @throws TypeError when `value` is none of `allowed`; RangeError where it is at least of their type. */
export function oneOf<T>(name: string, value: unknown, allowed: readonly T[]): T {
  if ((allowed as readonly unknown[]).includes(value)) return value as T;
  const message = `expected \`${name}\` to be ${alternatives(allowed)}, got ${shown(value)}`;
  throw allowed.some((one) => typeof one === typeof value) ? new RangeError(message) : new TypeError(message);
}

/** @throws TypeError */
export function boolean(name: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  throw new TypeError(`expected \`${name}\` to be true or false, got ${shown(value)}`);
}

/**
 * A text that goes to the operating system, which ends its strings at the first NUL.
 * @throws TypeError for what is no string; RangeError for one with a NUL byte in it.
 */
export function osText(name: string, value: unknown, say: (value: unknown) => string = shown): string {
  if (typeof value !== 'string') throw new TypeError(`expected \`${name}\` to be a string, got ${say(value)}`);
  const position = value.indexOf('\0');
  if (position === -1) return value;
  throw new RangeError(`expected \`${name}\` to have no NUL byte, got one at position ${position} of ${say(value)}`);
}
