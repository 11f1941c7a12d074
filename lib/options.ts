/** The few checks that all options go through. Each throws at once and says what was expected and what came. */
import { inspect } from 'node:util';

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

/** @throws TypeError when `given` is no plain set of options or has a key that is not in `known`. */
export function refuseUnknown(what: string, given: unknown, known: readonly string[]): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new TypeError(`expected the options of ${what} to be an object, got ${shown(given)}`);
  }
  for (const key of Object.keys(given)) {
    if (!known.includes(key)) {
      throw new TypeError(`expected the options of ${what} to be among ${known.join(', ')}, got \`${key}\``);
    }
  }
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
