/** What an example says when a program that it runs is not there, before it does anything. */
import { PortDuplex } from '../lib';

/** @throws Error that names what is missing */
export async function needs(...programs: readonly string[]): Promise<void> {
  for (const program of programs) {
    const port = new PortDuplex('sh', ['-c', 'command -v "$0"', program], { stdin: 'ignore', stdout: 'ignore' });
    const { exitCode } = await port.on('error', () => undefined).exited;
    if (exitCode !== 0) throw new Error(`expected the program ${program} in the PATH, found none: install it first`);
  }
}
