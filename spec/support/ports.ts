/** Ports that the specs share. */
import { EventEmitter, once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { Port } from '../../lib/port/port';
import type { BasePort } from '../../lib/port/base-port';
import type { PortOptions, PortPoolOptions } from '../../lib/port/port-options';
import { PortPool } from '../../lib/port/port';
import type { Message } from '../../lib';

/** A Port or a PortPool. */
export type AnyPort = BasePort<Message, Buffer>;

/** The path of a small child in spec/programs. */
export function program(name: string): string {
  return path.join(__dirname, '..', 'programs', name);
}

/** A port whose child does what each message says: see spec/programs/obeys.pl. */
export function obeys(options: PortOptions = {}): Port {
  return new Port('perl', [program('obeys.pl')], options);
}

/** Several of them behind one queue. */
export function obeyAll(options: PortPoolOptions = {}): PortPool {
  return new PortPool('perl', [program('obeys.pl')], options);
}

/** What a request is answered with, as text. */
export async function ask(
  port: AnyPort,
  message: string,
  options?: Parameters<AnyPort['request']>[1],
): Promise<string> {
  return String(await port.request(message, options));
}

/** The names of what the monitor does, as it does it: `restart 2`, `spawn 2`, `exit 1`. */
export function watch(port: AnyPort): string[] {
  const seen: string[] = [];
  port.on('spawn', ({ generation }) => seen.push(`spawn ${generation}`));
  port.on('exit', ({ generation }) => seen.push(`exit ${generation}`));
  port.on('restart', ({ generation }) => seen.push(`restart ${generation}`));
  port.on('broken', () => seen.push('broken'));
  port.on('unexpected', ({ generation }, message) => seen.push(`unexpected ${generation}: ${String(message)}`));
  return seen;
}

/** Resolves when the child is up, in its life or already. */
export async function up(port: Port): Promise<void> {
  if (port.state !== 'ready') await once(port as EventEmitter, 'spawn');
}

/** A zombie is gone: only its parent has not looked yet. */
export function isAlive(pid: number): boolean {
  if (!existsSync(`/proc/${pid}/stat`)) return false;
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return stat.charAt(stat.lastIndexOf(')') + 2) !== 'Z';
}
