/** A real broker of its own for a spec: no file and no port is shared with one that the machine may have. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { freePort } from './nats';

/** The command in the path may be a wrapper that changes the user, as Debian's does; this is what it runs. */
const PROGRAM = 'rabbitmq-server';
const DEBIAN_PROGRAM = '/usr/lib/rabbitmq/bin/rabbitmq-server';

export class RabbitServer {
  readonly url: string;
  /** Resolves when it takes connections. */
  readonly ready: Promise<void>;
  readonly #folder: string;
  readonly #server: ChildProcess;
  readonly #namesPort: number;

  private constructor(folder: string, server: ChildProcess, ready: Promise<void>, port: number, namesPort: number) {
    this.url = `amqp://127.0.0.1:${port}`;
    this.ready = ready;
    this.#folder = folder;
    this.#server = server;
    this.#namesPort = namesPort;
  }

  /** Resolves when its process is there: it takes some seconds until it is `ready`. */
  static async start(): Promise<RabbitServer> {
    const folder = mkdtempSync(path.join(tmpdir(), 'rexport-rabbit-'));
    const [port, distributionPort, namesPort] = [await freePort(), await freePort(), await freePort()];
    writeFileSync(path.join(folder, 'plugins'), '[].\n');
    const program = spawnSync('test', ['-x', DEBIAN_PROGRAM]).status === 0 ? DEBIAN_PROGRAM : PROGRAM;
    const server = spawn(program, {
      env: {
        ...process.env,
        HOME: folder,
        RABBITMQ_NODENAME: `rexport-${port}@localhost`,
        RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
        RABBITMQ_NODE_PORT: String(port),
        RABBITMQ_DIST_PORT: String(distributionPort),
        ERL_EPMD_PORT: String(namesPort),
        ERL_EPMD_ADDRESS: '127.0.0.1',
        RABBITMQ_MNESIA_BASE: path.join(folder, 'data'),
        RABBITMQ_LOG_BASE: path.join(folder, 'log'),
        RABBITMQ_LOGS: '-',
        RABBITMQ_ENABLED_PLUGINS_FILE: path.join(folder, 'plugins'),
        RABBITMQ_PID_FILE: path.join(folder, 'pid'),
        RABBITMQ_CONFIG_FILE: path.join(folder, 'none'),
        RABBITMQ_GENERATED_CONFIG_DIR: path.join(folder, 'config'),
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    const ready = new Promise<void>((resolve, reject) => {
      server.stdout.setEncoding('utf8').on('data', (chunk: string) => {
        said += chunk;
        if (said.includes('Server startup complete')) resolve();
      });
      server.once('close', () => reject(new Error(`expected a broker that is ready, got ${said}`)));
    });
    // The failure is for the caller that waits for it, later.
    ready.catch(() => {});
    return new RabbitServer(folder, server, ready, port, namesPort);
  }

  async stop(): Promise<void> {
    if (this.#server.exitCode === null && this.#server.signalCode === null) {
      const closed = once(this.#server, 'close');
      this.#server.kill();
      await closed;
    }
    // Erlang's name server goes on by itself.
    spawnSync('epmd', ['-kill'], { env: { ...process.env, ERL_EPMD_PORT: String(this.#namesPort) } });
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
