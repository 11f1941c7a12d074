/** One running program. The only importer of node:child_process. */
import { spawn, type ChildProcess } from 'node:child_process';
import { EventEmitter } from 'node:events';
import type { Duplex, Readable, Writable } from 'node:stream';
import type { SpawnError } from '../errors';
import { trace } from '../trace';
import type { ChildSpec } from './child-spec';
import { exitHook, type LiveChild } from './exit-hook';
import type { ExitStatus } from './exit-status';
import { ChildStdio, type FurtherEnds, type StdioPipes } from './stdio-pipes';
import { watchFromOutside } from './outside-watcher';
import { explainSpawnFailure } from './spawn-failure';

export class Child implements LiveChild {
  readonly pid: number;
  readonly command: string;
  readonly killSignal: NodeJS.Signals;
  readonly stdin: Writable | null;
  readonly stdout: Readable | null;
  readonly stderr: Readable | null;
  /** Our ends of its descriptors from 3 on, by their numbers. Their owner closes them. */
  readonly descriptors: ReadonlyMap<number, Duplex>;
  /** undefined while the program runs. */
  status: ExitStatus | undefined;
  /** Whether the program is gone and our ends of its pipes are closed. */
  isClosed = false;

  readonly #process: ChildProcess;
  readonly #closing = new EventEmitter();
  readonly #stdio: ChildStdio;
  readonly #killTree: boolean;
  #hasOrphans = false;

  /**
   * Starts the program. Whatever the operating system refuses comes through `onFailure`, once and later, never as a
   * throw; the result is then undefined.
   * @param pipes in place of Node's socketpairs; they are the child's or closed afterwards, whatever comes of it
   */
  static spawn(spec: ChildSpec, onFailure: (error: SpawnError) => void, pipes: StdioPipes = {}): Child | undefined {
    const fail = (cause: unknown): void => void explainSpawnFailure(spec, cause).then(onFailure);
    // Before the call: it takes its time, and the child may be running for most of it.
    const startedAt = performance.now();
    const stdio = ChildStdio.over(pipes, spec);
    let result: Child | undefined;
    try {
      const { command, args, cwd, env, argv0, uid, gid, killTree } = spec;
      const child = spawn(command, args, {
        cwd,
        env,
        argv0,
        uid,
        gid,
        stdio: stdio.entries,
        detached: killTree,
        windowsHide: true,
      });
      if (child.pid !== undefined) result = new Child(child, child.pid, spec, startedAt, stdio);
      else child.once('error', fail);
    } catch (cause) {
      fail(cause);
    } finally {
      stdio.closeTheirs();
      if (result === undefined) stdio.destroy();
    }
    return result;
  }

  private constructor(child: ChildProcess, pid: number, spec: ChildSpec, startedAt: number, stdio: ChildStdio) {
    const { command, killSignal, killTree } = spec;
    this.#process = child;
    this.#stdio = stdio;
    this.#killTree = killTree;
    this.pid = pid;
    this.command = command;
    this.killSignal = killSignal;
    stdio.adopt(child.stdio);
    this.stdin = stdio.stdin;
    // Node would close it at the exit before anybody is told, and what the child left of its group would take that for
    // the end of the input.
    (child as { stdin: Writable | null }).stdin = null;
    this.stdout = stdio.stdout;
    this.stderr = stdio.stderr;
    this.descriptors = stdio.descriptors;
    trace.spawn({ command, pid });
    exitHook.add(this);
    const gone = watchFromOutside({ target: killTree ? -pid : pid, killSignal, inputs: stdio.inputs });
    child.once('exit', (exitCode, signal) => {
      const durationMs = performance.now() - startedAt;
      this.status = { exitCode, signal, durationMs };
      this.#hasOrphans = killTree && this.#signalGroup(0);
      exitHook.delete(this);
      gone?.();
      process.nextTick(() => stdio.childExited());
      trace.exit({ command, pid, exitCode, signal, durationMs });
    });
    this.#awaitClose([child, ...stdio.streams]);
    // After a spawn this event means only that a signal could not be sent, which `kill` tells by its result.
    child.on('error', () => undefined);
  }

  /** Called once when the program has ended; its output may still be on the way. */
  onExit(listener: (status: ExitStatus) => void): void {
    this.#process.once('exit', () => {
      if (this.status !== undefined) listener(this.status);
    });
  }

  /** Called once when the program has ended and our ends of its pipes are closed. */
  onClose(listener: () => void): void {
    this.#closing.once('close', listener);
  }

  /** Node's `close` does not wait for streams that it did not make itself. */
  #awaitClose(parts: readonly EventEmitter[]): void {
    const open = new Set(parts);
    for (const part of open) {
      part.once('close', () => {
        open.delete(part);
        if (open.size > 0) return;
        this.isClosed = true;
        this.#closing.emit('close');
      });
    }
  }

  /** For another child that is to write to this one; undefined where its stdin is no pipe. */
  openFurtherEnds(): FurtherEnds | undefined {
    return this.#stdio.openFurtherEnds();
  }

  /** Whether the signal was sent. None goes to a pid that is gone. */
  kill(signal: NodeJS.Signals): boolean {
    if (this.status !== undefined) return false;
    return this.#killTree ? this.#signalGroup(signal) : this.#process.kill(signal);
  }

  /** Ends what the leader left of its group when it exited; a group in use keeps its number from being given anew. */
  killOrphans(): void {
    if (this.#hasOrphans) this.#signalGroup('SIGKILL');
    this.#hasOrphans = false;
  }

  /** @param signal 0 asks only whether anybody is there */
  #signalGroup(signal: NodeJS.Signals | 0): boolean {
    try {
      return process.kill(-this.pid, signal);
    } catch {
      return false;
    }
  }

  /**
   * Ends what the child left of its group, then closes our ends of stdin and stdout; descendants that hold the other ends
   * no longer delay the close. stderr is closed by its own reader (StderrTail): the last words of a child are worth a
   * short wait.
   */
  releasePipes(): void {
    this.killOrphans();
    this.stdin?.destroy();
    this.stdout?.destroy();
  }

  /** Whether this child keeps the event loop alive. */
  setRef(isRef: boolean): void {
    const method = isRef ? 'ref' : 'unref';
    this.#process[method]();
    for (const stream of this.#stdio.streams) (stream as { ref?(): void; unref?(): void })[method]?.();
  }
}
