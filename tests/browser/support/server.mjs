// Starts the real server as users do: a program, an environment, a folder.

import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { artifactsDir } from './artifacts.mjs';

/** Binary under test; set by `make test`. */
export const serverBinary =
  process.env.SORTIE_SERVER ?? new URL('../../../target/release/sortie-server', import.meta.url).pathname;

export const ADMIN = { username: 'admin', password: 'correct horse battery staple' };

/** Known to the tests, so that they can sign expired tokens. */
export const JWT_SECRET = 'a secret that only these tests know, 32 bytes and more';

const START_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 15_000;

/** A running server with its own database and storage folder. */
export class Server {
  #process;
  #log;
  #environment;
  /** Program and arguments. */
  program = [serverBinary];
  /** Environment variable of the port. */
  portVariable = 'SORTIE_PORT';

  /** `http://127.0.0.1:<port>`; unchanged by a restart. */
  origin;
  /** Database and recordings. */
  dataDir;
  /** Standard output since the last start. */
  stdout = '';

  /** Starts a server with recording enabled. `environment` overrides variables. */
  static async start(environment = {}) {
    const server = new this();
    server.dataDir = await mkdtemp(join(tmpdir(), 'sortie-e2e-'));
    server.#environment = {
      PATH: process.env.PATH,
      RUST_BACKTRACE: '1',
      SORTIE_JWT_SECRET: JWT_SECRET,
      ...server.defaults(),
      ...environment,
    };
    for (const [name, value] of Object.entries(server.#environment)) {
      if (value === undefined) delete server.#environment[name];
    }
    await mkdir(artifactsDir, { recursive: true });
    server.#log = createWriteStream(join(artifactsDir, `server-${process.pid}.log`), { flags: 'a' });
    await server.#spawn();
    return server;
  }

  /** Default variables. */
  defaults() {
    return {
      SORTIE_VIDEO_RECORDING_ENABLED: 'true',
      SORTIE_HOST: '127.0.0.1',
      SORTIE_PORT: '0',
      SORTIE_DB: join(this.dataDir, 'sortie.db'),
      SORTIE_RECORDING_STORAGE_PATH: join(this.dataDir, 'recordings'),
      SORTIE_ADMIN_USERNAME: ADMIN.username,
      SORTIE_ADMIN_PASSWORD: ADMIN.password,
    };
  }

  async #spawn() {
    this.stdout = '';
    const [binary, ...args] = this.program;
    const child = spawn(binary, args, {
      cwd: this.dataDir,
      env: this.#environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process = child;
    child.stderr.pipe(this.#log, { end: false });
    let timeout;
    this.origin = await new Promise((resolve, reject) => {
      timeout = setTimeout(
        () => reject(new Error(`the server did not say where it listens; it said: ${this.stdout}`)),
        START_TIMEOUT_MS,
      );
      child.once('error', reject);
      child.once('exit', (code, signal) =>
        reject(new Error(`the server ended at once (${code ?? signal}); see ${this.#log.path}`)),
      );
      child.stdout.setEncoding('utf8');
      child.stdout.on('data', (text) => {
        this.stdout += text;
        this.#log.write(text);
        const url = /listens on (http:\/\/\S+)/.exec(this.stdout)?.[1];
        if (url) resolve(url);
      });
    }).finally(() => clearTimeout(timeout));
    child.removeAllListeners('exit');
  }

  /** Kills the process with SIGKILL. */
  async kill() {
    const ended = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.kill('SIGKILL');
    await ended;
  }

  /** Restarts it with the same data and port. `environment` overrides variables. */
  async restart(environment = {}) {
    Object.assign(this.#environment, environment, { [this.portVariable]: new URL(this.origin).port });
    await this.#spawn();
  }

  /** Stops it with SIGTERM; returns its exit code. */
  async stop() {
    const child = this.#process;
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    const force = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    const code = await ended;
    clearTimeout(force);
    return code;
  }

  /** Stops it and removes its data. */
  async close() {
    await this.stop();
    this.#log.end();
    await rm(this.dataDir, { recursive: true, force: true });
  }

  /** Bytes in the storage folder on disk. */
  async storedBytes() {
    return folderBytes(join(this.dataDir, 'recordings'));
  }
}

async function folderBytes(folder) {
  let bytes = 0;
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    const path = join(folder, entry.name);
    // A file may be renamed between the listing and `stat`.
    if (entry.isDirectory()) bytes += await folderBytes(path);
    else bytes += await stat(path).then((it) => it.size, () => 0);
  }
  return bytes;
}
