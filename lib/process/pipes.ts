/**
 * Anonymous pipes from pure Node, on Linux. Node gives a child socketpairs, which no program can open by a name
 * (`/dev/stdin`), and which cost a short message half of its time.
 *
 * A pipe that any process of ours has can be opened through /proc/PID/fd, and each open gives it one more end, with flags
 * of its own. A helper makes the pipes; all that are asked for while it runs come from the same one. No pipe is held in
 * reserve, and where anything fails there are none: the caller has sockets.
 */
import { AsyncResource } from 'node:async_hooks';
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import { HELPER_FDS, HELPER_LINE, isPassing, PipeHelper, type PipeHelperEvents } from './pipe-helper';

/** What a child does with its end. */
export type ChildEnd = 'reads' | 'writes';

/** Both ends of a pipe, closed on exec: `ours` does not block, `theirs` does. Who takes it closes both. */
export interface Pipe {
  readonly ours: number;
  readonly theirs: number;
}

/** Takes the pipes in the order of the ask, or a sentence that says why there are none. */
export type TakePipes = (result: readonly Pipe[] | string) => void;

interface Ask {
  readonly ends: readonly ChildEnd[];
  readonly done: TakePipes;
}

export interface PipeSourceOptions {
  readonly shell?: string;
  readonly proc?: string;
  /** How long the helper may take for each round; a shell starts in a millisecond or two. */
  readonly timeoutMs?: number;
}

/** How many are had at a time. */
export const MAX_PIPES = HELPER_FDS.length;

/** Two socketpairs, a pipe for the outcome of the exec, and one to spare. */
const SPAWN_FDS = 7;

const { O_RDONLY, O_WRONLY, O_NONBLOCK } = constants;

export class PipeSource {
  readonly #shell: string;
  readonly #proc: string;
  readonly #timeoutMs: number;
  readonly #helperEvents: PipeHelperEvents = {
    onReady: (helper) => this.#serve(helper),
    onFailed: (helper, reason, isLasting) => {
      if (isLasting) this.#refusal = reason;
      if (this.#helper === helper) this.#refuseAll(reason);
    },
  };
  #asks: Ask[] = [];
  #helper: PipeHelper | undefined;
  /** Why there are none, where that will not change while this process lives. */
  #refusal: string | undefined;

  constructor({ shell = '/bin/sh', proc = '/proc', timeoutMs = 1000 }: PipeSourceOptions = {}) {
    this.#shell = shell;
    this.#proc = proc;
    this.#timeoutMs = timeoutMs;
    if (process.platform !== 'linux') this.#refusal = `no pipes can be had on ${process.platform}`;
    // Node closes at the end of a worker thread what was opened there by a number, though a socket has had it and closed it:
    // the number may be another thread's by then.
    else if (!isMainThread) this.#refusal = 'no pipes can be had in a worker thread';
  }

  /**
   * @param ends at most MAX_PIPES
   * @param done called once: later, or at once where nothing need be waited for; in the caller's asynchronous context
   */
  take(ends: readonly ChildEnd[], done: TakePipes): void {
    const hindrance = this.#refusal ?? (this.#helper ? undefined : this.#hindrance());
    if (hindrance !== undefined || ends.length === 0) {
      done(hindrance ?? []);
      return;
    }
    this.#asks.push({ ends, done: AsyncResource.bind(done) });
    this.#helper ??= new PipeHelper(this.#shell, this.#timeoutMs, this.#helperEvents);
  }

  /**
   * A helper need not be started where /proc is not there or no descriptor is left. Node forgets some when it runs out of
   * them in the middle of a spawn, so there must be enough for the whole of it.
   */
  #hindrance(): string | undefined {
    const opened: number[] = [];
    try {
      while (opened.length < SPAWN_FDS) opened.push(openSync(`${this.#proc}/self/fd`, O_RDONLY));
      return undefined;
    } catch (error) {
      return (error as Error).message;
    } finally {
      for (const fd of opened) closeSync(fd);
    }
  }

  #serve(helper: PipeHelper): void {
    const results: [ask: Ask, result: readonly Pipe[] | string][] = [];
    let used = 0;
    for (
      let ask = this.#asks[0];
      ask !== undefined && used + ask.ends.length <= HELPER_FDS.length;
      ask = this.#asks[0]
    ) {
      results.push([ask, this.#openAll(helper, HELPER_FDS.slice(used), ask.ends)]);
      used += ask.ends.length;
      this.#asks.shift();
    }
    // The number of a helper that is gone may be another process's by now, and so may the pipes.
    const { isAlive } = helper;
    for (const [{ done }, result] of results) {
      if (!isAlive && typeof result !== 'string') closePipes(result);
      // Each in a tick of its own: what a listener throws must not keep the others waiting.
      process.nextTick(done, isAlive || typeof result === 'string' ? result : 'the helper ended too early');
    }
    if (this.#asks.length > 0 && this.#refusal === undefined) {
      helper.next();
      return;
    }
    helper.end();
    this.#refuseAll(this.#refusal ?? '');
  }

  #openAll(helper: PipeHelper, fds: readonly number[], ends: readonly ChildEnd[]): readonly Pipe[] | string {
    const pipes: Pipe[] = [];
    try {
      for (const [index, end] of ends.entries()) pipes.push(this.#open(`${helper.pid}/fd/${fds[index]}`, end));
      return pipes;
    } catch (error) {
      closePipes(pipes);
      const { message, code } = error as NodeJS.ErrnoException;
      // A helper that was killed has no descriptors.
      if (!isPassing(error) && code !== 'ENOENT') this.#refusal = message;
      return message;
    }
  }

  /** @throws where that is no pipe, or cannot be opened as often as need be */
  #open(path: string, end: ChildEnd): Pipe {
    const opened: number[] = [];
    const open = (file: string, flags: number): number => {
      const fd = openSync(`${this.#proc}/${file}`, flags);
      opened.push(fd);
      return fd;
    };
    try {
      const reading = open(path, O_RDONLY | O_NONBLOCK);
      emptyOut(reading);
      const again = `self/fd/${reading}`;
      if (end === 'writes') return { ours: reading, theirs: open(again, O_WRONLY) };
      const pipe = { ours: open(again, O_WRONLY | O_NONBLOCK), theirs: open(again, O_RDONLY) };
      closeSync(reading);
      return pipe;
    } catch (error) {
      for (const fd of opened) closeSync(fd);
      throw error;
    }
  }

  #refuseAll(reason: string): void {
    const asks = this.#asks;
    this.#asks = [];
    this.#helper = undefined;
    for (const { done } of asks) process.nextTick(done, reason);
  }
}

/** @throws where it is no pipe, or not the helper's: some shells keep a here-document in a file */
function emptyOut(fd: number): void {
  // not as numbers: the last of those misleads Node's search for modules behind links, where it was a pipe
  if (!fstatSync(fd, { bigint: true }).isFIFO()) throw new Error('a here-document of this shell is no pipe');
  const bytes = Buffer.alloc(HELPER_LINE.length + 1);
  const text = bytes.toString('latin1', 0, readSync(fd, bytes));
  if (text !== HELPER_LINE) throw new Error(`expected the helper's line in its pipe, got ${JSON.stringify(text)}`);
}

export function closePipes(pipes: readonly Pipe[]): void {
  for (const { ours, theirs } of pipes) {
    closeSync(ours);
    closeSync(theirs);
  }
}

/** One for all, so that ports that start together share a helper. */
export const pipeSource = new PipeSource();
