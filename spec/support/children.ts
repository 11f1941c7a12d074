/** Children without a port around them. */
import { Child } from '../../lib/process/child';
import type { ChildSpec } from '../../lib/process/child-spec';
import type { SpawnError } from '../../lib/errors';

export function childSpec(command: string, args: readonly string[] = [], others: Partial<ChildSpec> = {}): ChildSpec {
  return {
    command,
    args,
    cwd: undefined,
    env: process.env,
    argv0: undefined,
    uid: undefined,
    gid: undefined,
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'pipe',
    descriptors: {},
    channel: 'stdio',
    killSignal: 'SIGTERM',
    killTree: false,
    ...others,
  };
}

/** A child that is there, its output drained. */
export function spawnChild(command: string, args?: readonly string[], others?: Partial<ChildSpec>): Child {
  const failures: SpawnError[] = [];
  const child = Child.spawn(childSpec(command, args, others), (error) => failures.push(error));
  if (child === undefined) throw new Error(`no child of ${command}`);
  child.stdout?.resume();
  child.stderr?.resume();
  return child;
}

export function shell(script: string, others?: Partial<ChildSpec>): Child {
  return spawnChild('sh', ['-c', script], others);
}

export async function closed(child: Child): Promise<void> {
  if (!child.isClosed) await new Promise<void>((resolve) => child.onClose(resolve));
}
