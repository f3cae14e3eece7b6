// A real remote desktop: TigerVNC's server with a moving picture on it, and websockify in front of it.

import { spawn } from 'node:child_process';
import { connect } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { freePort } from './port.mjs';

const PATIENCE_MS = 30_000;
const PYTHON = process.env.SORTIE_PYTHON ?? 'python3';

export class Desktop {
  #processes = [];
  /** For noVNC. */
  url;

  static async start({ width = 800, height = 600 } = {}) {
    const desktop = new Desktop();
    try {
      const vnc = await freePort();
      const display = await desktop.#display(vnc, width, height);
      desktop.#run('ffplay', [
        '-v', 'error', '-f', 'lavfi', '-i', `testsrc2=size=${width}x${height}:rate=15`, '-noborder', '-an',
      ], { DISPLAY: display, SDL_VIDEODRIVER: 'x11', SDL_RENDER_DRIVER: 'software' });
      const bridge = await freePort();
      desktop.#run(PYTHON, ['-m', 'websockify', `127.0.0.1:${bridge}`, `127.0.0.1:${vnc}`]);
      await answers(bridge);
      desktop.url = `ws://127.0.0.1:${bridge}`;
      return desktop;
    } catch (error) {
      await desktop.close();
      throw error;
    }
  }

  /** An X server that speaks VNC on `port`; answers the display it has found free. */
  async #display(port, width, height) {
    const server = this.#run('Xvnc', [
      '-displayfd', '3', '-rfbport', String(port), '-localhost', '-SecurityTypes', 'None', '-geometry', `${width}x${height}`,
    ], {}, ['ignore', 'ignore', 'ignore', 'pipe']);
    const display = await new Promise((resolve, reject) => {
      server.stdio[3].once('data', (number) => resolve(`:${String(number).trim()}`));
      server.once('exit', (code) => reject(new Error(`Xvnc ended at once (${code})`)));
    });
    await answers(port);
    return display;
  }

  #run(program, args, environment = {}, stdio = 'ignore') {
    const child = spawn(program, args, { env: { ...process.env, ...environment }, stdio });
    this.#processes.push(child);
    return child;
  }

  async close() {
    for (const child of this.#processes.splice(0).reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      const force = setTimeout(() => child.kill('SIGKILL'), 5_000);
      await ended;
      clearTimeout(force);
    }
  }
}

/** Waits until somebody listens there. */
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
