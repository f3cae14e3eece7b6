// A sound server with a microphone that can be unplugged, for browsers started with `PULSE_SERVER`.

import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const PATIENCE_MS = 30_000;

export class Sound {
  #folder;
  #process;
  #microphone;
  /** Value of `PULSE_SERVER`. */
  address;

  static async start() {
    const sound = new Sound();
    sound.#folder = await mkdtemp(join(tmpdir(), 'sortie-sound-'));
    const socket = join(sound.#folder, 'native');
    sound.address = `unix:${socket}`;
    sound.#process = spawn('pulseaudio', [
      '-n', '--daemonize=no', '--use-pid-file=no', '--exit-idle-time=-1',
      '-L', `module-native-protocol-unix socket=${socket}`, '-L', 'module-null-sink sink_name=silence',
    ], { env: sound.#environment(), stdio: 'ignore' });
    const asked = performance.now();
    while (!(await sound.#control('info').then(() => true, () => false))) {
      if (performance.now() - asked > PATIENCE_MS) throw new Error('pulseaudio does not answer');
      await wait(100);
    }
    // Browsers do not offer monitor sources as microphones.
    sound.#microphone = await sound.#control('load-module', 'module-remap-source', 'master=silence.monitor', 'source_name=microphone');
    return sound;
  }

  #environment() {
    const folder = this.#folder;
    return { PATH: process.env.PATH, HOME: folder, XDG_RUNTIME_DIR: folder, PULSE_RUNTIME_PATH: folder, PULSE_SERVER: this.address };
  }

  async #control(...args) {
    const { stdout } = await run('pactl', args, { env: this.#environment() });
    return stdout.trim();
  }

  /** Unplugs the microphone. */
  unplug() {
    return this.#control('unload-module', this.#microphone);
  }

  async close() {
    const ended = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.kill('SIGTERM');
    await ended;
    await rm(this.#folder, { recursive: true, force: true });
  }
}
