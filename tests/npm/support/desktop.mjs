// A real remote desktop: TigerVNC's server with a moving picture, behind websockify.

import { spawn } from 'node:child_process';
import { connect } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { freePort } from './port.mjs';

const PATIENCE_MS = 30_000;
const PYTHON = process.env.SORTIE_PYTHON ?? 'python3';

/** Starts an X server that speaks VNC on `port`, on a free display. */
export async function startDisplay({ width = 1024, height = 768 } = {}) {
  const port = await freePort();
  const server = spawn('Xvnc', [
    '-displayfd', '3', '-rfbport', String(port), '-localhost', '-SecurityTypes', 'None', '-geometry', `${width}x${height}`,
  ], { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] });
  const name = await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.once('exit', (code) => reject(new Error(`Xvnc ended at once (${code})`)));
    server.stdio[3].once('data', (number) => resolve(`:${String(number).trim()}`));
  });
  return { name, port, close: () => stopProcess(server) };
}

export async function stopProcess(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const force = setTimeout(() => child.kill('SIGKILL'), 5_000);
  await ended;
  clearTimeout(force);
}

/** Display with a moving picture, and a WebSocket bridge to it. */
export class Desktop {
  #display;
  #processes = [];
  /** URL for noVNC. */
  url;

  static async start({ width = 800, height = 600 } = {}) {
    const desktop = new Desktop();
    try {
      desktop.#display = await startDisplay({ width, height });
      const { name, port } = desktop.#display;
      await answers(port);
      desktop.#run('ffplay', [
        '-v', 'error', '-f', 'lavfi', '-i', `testsrc2=size=${width}x${height}:rate=15`, '-noborder', '-an',
      ], { DISPLAY: name, SDL_VIDEODRIVER: 'x11', SDL_RENDER_DRIVER: 'software' });
      const bridge = await freePort();
      desktop.#run(PYTHON, ['-m', 'websockify', `127.0.0.1:${bridge}`, `127.0.0.1:${port}`]);
      await answers(bridge);
      desktop.url = `ws://127.0.0.1:${bridge}`;
      return desktop;
    } catch (error) {
      await desktop.close();
      throw error;
    }
  }

  #run(program, args, environment = {}) {
    this.#processes.push(spawn(program, args, { env: { ...process.env, ...environment }, stdio: 'ignore' }));
  }

  async close() {
    for (const child of this.#processes.splice(0).reverse()) await stopProcess(child);
    await this.#display?.close();
  }
}

/** Waits until the port accepts connections. */
async function answers(port) {
  const asked = performance.now();
  for (;;) {
    const there = await new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true)).once('error', () => resolve(false));
      socket.once('connect', () => socket.end());
    });
    if (there) return;
    if (performance.now() - asked > PATIENCE_MS) throw new Error(`nobody answers on port ${port}`);
    await wait(50);
  }
}
