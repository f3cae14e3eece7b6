// WebKitGTK's MiniBrowser with a profile on disk. Its WebDriver has private sessions only, which lack a file system, so
// the page itself requests its next command.

import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startDisplay, stopProcess } from './desktop.mjs';

export const MINI_BROWSER = process.env.SORTIE_MINIBROWSER ?? '/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser';

/** Starting it takes long on a slow machine. */
const PATIENCE_MS = 60_000;

/** Script of every driven page, with the origin to request commands from. */
async function obey(origin) {
  for (;;) {
    const { id, source, given } = await (await fetch(`${origin}/next${location.hash}`.replace('#', '/'))).json();
    let answer;
    try {
      answer = { value: await (0, eval)(`(${source})`)(...given) };
    } catch (error) {
      answer = { error: { name: error.name, code: error.code, message: error.message } };
    }
    await fetch(`${origin}/answer`, { method: 'POST', body: JSON.stringify({ id, ...answer }) });
  }
}

export class WebKit {
  #display;
  #profile;
  #child;
  #control;
  #origin;
  #asked = 0;
  /** Number of the browser that was opened last. Pages of earlier browsers receive no commands. */
  #life = 0;
  /** Commands for the page, with their callers. */
  #orders = [];
  #idle = [];
  #open = new Map();
  /** Output to standard error. */
  log = '';

  static async start() {
    const webkit = new WebKit();
    webkit.#profile = await mkdtemp(join(tmpdir(), 'sortie-webkit-'));
    webkit.#control = createServer((request, response) => webkit.#answer(request, response));
    await new Promise((resolve) => webkit.#control.listen(0, '127.0.0.1', resolve));
    webkit.#origin = `http://127.0.0.1:${webkit.#control.address().port}`;
    webkit.#display = await startDisplay({ width: 1024, height: 768 });
    return webkit;
  }

  /** Script that makes a page request commands. */
  get script() {
    return `(${obey})(${JSON.stringify(this.#origin)});`;
  }

  /** Opens `url` in a new browser with the profile of the previous one. */
  async open(url) {
    this.log = '';
    this.#life += 1;
    const home = (name) => join(this.#profile, name);
    this.#child = spawn(MINI_BROWSER, [`${url}#${this.#life}`], {
      env: {
        PATH: process.env.PATH, DISPLAY: this.#display.name, HOME: this.#profile,
        XDG_DATA_HOME: home('data'), XDG_CACHE_HOME: home('cache'), XDG_CONFIG_HOME: home('config'), XDG_RUNTIME_DIR: this.#profile,
        // The machine has neither a graphics card nor a desktop.
        GDK_BACKEND: 'x11', LIBGL_ALWAYS_SOFTWARE: '1', WEBKIT_DISABLE_DMABUF_RENDERER: '1', NO_AT_BRIDGE: '1',
        GIO_USE_VFS: 'local', GSETTINGS_BACKEND: 'memory',
      },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#child.stderr.setEncoding('utf8').on('data', (text) => { this.log += text; });
    await this.evaluate(() => true);
  }

  /** Runs a function in the page and returns its result; exceptions are passed on. */
  async evaluate(does, ...given) {
    const id = (this.#asked += 1);
    const order = JSON.stringify({ id, source: String(does), given });
    let timeout;
    const answer = new Promise((resolve, reject) => {
      this.#open.set(id, resolve);
      timeout = setTimeout(() => reject(new Error(`WebKit has not answered: ${does}\n${this.log}`)), PATIENCE_MS);
    });
    this.#orders.push(order);
    this.#hand();
    const { value, error } = await answer.finally(() => clearTimeout(timeout));
    if (error) throw Object.assign(new Error(error.message), error);
    return value;
  }

  #hand() {
    while (this.#idle.length > 0 && this.#orders.length > 0) this.#idle.shift().end(this.#orders.shift());
  }

  async #answer(request, response) {
    response.setHeader('access-control-allow-origin', '*');
    response.setHeader('content-type', 'application/json');
    if (request.url === `/next/${this.#life}`) {
      this.#idle.push(response);
      response.once('close', () => { this.#idle = this.#idle.filter((it) => it !== response); });
      this.#hand();
      return;
    }
    if (request.method !== 'POST') {
      response.writeHead(410).end();
      return;
    }
    let body = '';
    for await (const piece of request.setEncoding('utf8')) body += piece;
    const { id, ...answer } = JSON.parse(body);
    this.#open.get(id)?.(answer);
    this.#open.delete(id);
    response.end('{}');
  }

  /** Ends the browser like a crash; the profile stays. */
  async kill() {
    const child = this.#child;
    this.#child = undefined;
    if (!child) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
    this.#idle.splice(0).forEach((it) => it.destroy());
  }

  async close() {
    if (this.#child) await stopProcess(this.#child);
    await this.#display?.close();
    this.#control.closeAllConnections();
    await new Promise((resolve) => this.#control.close(resolve));
    await rm(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }
}
