/**
 * Gives a port's child the descriptors of its neighbours, as a shell does for `<`, `>` and `|`, so that no byte passes
 * through this process: the file of an fs stream, or the stdin of the port that comes next.
 *
 * The neighbours are known when the child is to be spawned; a file must be open by then, and the next port's child
 * running. So that is waited for, and until then the port asks its source to wait.
 */
import { closeSync } from 'node:fs';
import type { Duplex, Writable } from 'node:stream';
import type { ChildSpec } from '../../process/child-spec';
import { isSuccess, type ExitStatus } from '../../process/exit-status';
import {
  closeStdioPipes,
  takeSharedPair,
  takeStdioPipes,
  type FurtherEnds,
  type StdioPipes,
} from '../../process/stdio-pipes';
import { trace } from '../../trace';
import type { ChildInput } from '../child-input';
import type { ChildOutput } from '../child-output';
import type { PipedStreams } from './piped-streams';
import { descriptorOf, isFileSink, RedirectedFile } from './redirected-file';
import type { PortDuplexSettings } from '../port-duplex-options';

/** How a port's child comes by its stdin and stdout: by pipes of ours, or redirected. */
export interface Wiring {
  /** Whether a neighbour is waited for: nobody is to write before. */
  readonly isWaiting: boolean;
  /** Calls back once, now or later, with what the child is to be given. */
  connect(spawn: SpawnChild): void;
  /** Calls back once when all is known that tells why the child has ended. */
  exited(status: ExitStatus, done: () => void): void;
}

/** Spawns over the pipes, where there are some, or closes them. */
type SpawnChild = (spec: ChildSpec, pipes: StdioPipes | undefined) => void;

interface WiredPort {
  readonly stream: Duplex;
  readonly settings: PortDuplexSettings;
  readonly piped: PipedStreams;
  readonly input: ChildInput;
  readonly output: ChildOutput;
  /** Two more ends of its child's stdin, where that is a pipe. */
  readonly openFurtherEnds: () => FurtherEnds | undefined;
  /** The wiring of another stream, where that is a port. */
  readonly wiringOf: (stream: unknown) => Wiring | undefined;
}

export function wire(port: WiredPort): Wiring {
  if (port.settings.redirect) return new Redirection(port);
  const { child, pipes } = port.settings;
  return {
    isWaiting: false,
    connect: (spawn) => (pipes ? takePipes : takePair)(child, (taken) => spawn(child, taken)),
    exited: (_status, done) => done(),
  };
}

function takePipes(child: ChildSpec, done: (pipes: StdioPipes | undefined) => void): void {
  takeStdioPipes(child, (result) => {
    if (typeof result !== 'string') {
      done(result);
      return;
    }
    trace.noPipes({ command: child.command, reason: result });
    takePair(child, done);
  });
}

/** What the child cannot do without. Where it is not to be had, the spawn fails. */
function takePair(child: ChildSpec, done: (pipes: StdioPipes | undefined) => void): void {
  takeSharedPair(child, (result) => {
    if (typeof result === 'string') trace.noPipes({ command: child.command, reason: result });
    done(typeof result === 'string' ? undefined : result);
  });
}

class Redirection implements Wiring {
  readonly #port: WiredPort;
  #spawn: SpawnChild | undefined;
  #pipes: StdioPipes | 'awaited' | undefined;
  #hasSpawned = false;
  #source: RedirectedFile | undefined;
  /** The port whose child reads what ours writes, over a socket: that it has left must be found out at our exit. */
  #reader: Redirection | undefined;
  /** An end of the pipe to that child, for ours: open until the spawn. */
  #endOfNext: number | undefined;

  constructor(port: WiredPort) {
    this.#port = port;
  }

  get isWaiting(): boolean {
    return !this.#hasSpawned && !this.#port.stream.destroyed;
  }

  /** Whether there may still be a child; that there will be none is known only a while after the spawn. */
  get isStarting(): boolean {
    return !this.#port.input.hasChild && !this.#port.stream.destroyed;
  }

  connect(spawn: SpawnChild): void {
    this.#spawn = spawn;
    this.#awaitPipes();
    const { source } = this.#port.piped;
    if (this.#mayBypass(source)) this.#source = RedirectedFile.of(source);
    this.#source?.open(
      () => this.#mayBypass(source),
      (isLastCall) => (isLastCall ? this.#spawnNow() : this.#spawnWhenReady()),
    );
    this.#spawnWhenReady();
  }

  /** A reader that has left is the reason for any failure, and nobody's business: its own port tells it. */
  exited(status: ExitStatus, done: () => void): void {
    const isFailure = !isSuccess(status, this.#port.settings.successCodes);
    if (isFailure && this.#reader) this.#reader.#port.input.probe(done);
    else done();
  }

  /** Whether all that the child's stdin gets comes from that stream, and nobody counts it. */
  #mayBypass(source: unknown): boolean {
    const { stream, settings, piped } = this.#port;
    const isUntouched = stream.writable && stream.writableLength === 0;
    return isUntouched && settings.onInputClosed === 'discard' && piped.source === source;
  }

  #awaitPipes(): void {
    const wanted = this.#pipesWanted();
    if (wanted === undefined) return;
    this.#pipes = 'awaited';
    takePipes(wanted, (taken) => {
      this.#pipes = taken;
      if (this.isWaiting) this.#spawnWhenReady();
      else this.#dropPipes();
    });
    this.#port.stream.once('close', () => this.#dropPipes());
  }

  /** What a port writes goes over a pipe, of which this process keeps an end: see KeptEnd. */
  #pipesWanted(): ChildSpec | undefined {
    const { settings, piped, wiringOf } = this.#port;
    if (settings.pipes || settings.child.stderr === 'stdout') return settings.child;
    const isBetweenPorts = settings.child.stdin === 'pipe' && wiringOf(piped.source) instanceof Redirection;
    return isBetweenPorts ? { ...settings.child, stdout: 'ignore', stderr: 'ignore' } : undefined;
  }

  /** The child has been spawned without them, or never will be. */
  #dropPipes(): void {
    const pipes = this.#takenPipes();
    if (pipes) closeStdioPipes(pipes);
  }

  #takenPipes(): StdioPipes | undefined {
    const pipes = this.#pipes;
    if (pipes === 'awaited') return undefined;
    this.#pipes = undefined;
    return pipes;
  }

  #spawnWhenReady(): void {
    if (!this.isWaiting || this.#source?.isPending || this.#pipes === 'awaited') return;
    const pending = this.#pendingSink();
    if (pending === undefined) {
      this.#spawnNow();
      return;
    }
    const events = ['open', 'spawn', 'close'];
    const proceed = (): void => {
      for (const event of events) pending.removeListener(event, proceed);
      this.#spawnWhenReady();
    };
    for (const event of events) pending.once(event, proceed);
  }

  #spawnNow(): void {
    if (!this.isWaiting) return;
    const { settings, stream } = this.#port;
    const stdin = this.#source?.descriptor() ?? settings.child.stdin;
    const stdout = this.#stdout();
    this.#hasSpawned = true;
    this.#spawn?.({ ...settings.child, stdin, stdout }, this.#takenPipes());
    if (this.#endOfNext !== undefined) closeSync(this.#endOfNext);
    // Where more was written than is buffered, the stream says it itself when that is gone.
    if (!stream.destroyed && !stream.writableNeedDrain) stream.emit('drain');
  }

  #pendingSink(): NodeJS.WritableStream | undefined {
    const { sink } = this.#port.piped;
    if (isFileSink(sink)) return sink.pending ? sink : undefined;
    const next = this.#next();
    return next?.isStarting && next.#mayBypass(this.#port.stream) && !next.#waitsFor(this) ? sink : undefined;
  }

  #stdout(): ChildSpec['stdout'] {
    const { settings, piped, stream, output } = this.#port;
    if (settings.child.stdout !== 'pipe') return settings.child.stdout;
    const next = this.#next();
    const shared = next === undefined ? undefined : next.#shareStdin(stream);
    if (next === undefined || shared === undefined) return descriptorOf(piped.sink) ?? 'pipe';
    const ends = next.#port.openFurtherEnds();
    if (ends === undefined) {
      this.#reader = next;
      return shared;
    }
    output.keepEnd(ends.kept);
    this.#endOfNext = ends.theirs;
    return ends.theirs;
  }

  /** Our end of the child's stdin, for another child to write to. */
  #shareStdin(to: Duplex): Writable | undefined {
    return this.#hasSpawned && this.#mayBypass(to) ? this.#port.input.shareStdin() : undefined;
  }

  /** Ports may be piped in a ring. */
  #waitsFor(other: Redirection): boolean {
    const seen = new Set<Redirection>();
    let next: Redirection | undefined = this.#next();
    while (next !== undefined && next !== other && !seen.has(next)) {
      seen.add(next);
      next = next.#next();
    }
    return this === other || next === other;
  }

  /** The redirection of the port that comes next, where it has one. */
  #next(): Redirection | undefined {
    const next = this.#port.wiringOf(this.#port.piped.sink);
    return next instanceof Redirection ? next : undefined;
  }
}
