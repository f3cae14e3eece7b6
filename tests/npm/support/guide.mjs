// Snippets of a document, run as a reader runs them.

import { spawn } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Time limit of one snippet. */
const PATIENCE_MS = 60_000;

/**
 * Returns the fenced blocks of a document, in order: `{ language, text, line }`. `replaced` maps texts of the document to
 * those of this machine, such as ports; each must occur.
 */
export async function snippetsOf(path, replaced = {}) {
  let document = await readFile(path, 'utf8');
  for (const [text, by] of Object.entries(replaced)) {
    if (!document.includes(text)) throw new Error(`${path} does not contain ${text}`);
    document = document.replaceAll(text, by);
  }
  return [...document.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(({ 1: language, 2: text, index }) => ({
    language, text, line: document.slice(0, index).split('\n').length,
  }));
}

/** A shell in which all snippets of a document run, one after the other. */
export class Reader {
  #shell;
  #folder;
  #output = '';
  #heard = () => {};

  constructor(folder, environment) {
    this.#folder = folder;
    // A process group of its own: programs that a snippet starts in the background end with the shell.
    this.#shell = spawn('bash', ['--noprofile', '--norc'], { cwd: folder, env: environment, detached: true });
    for (const stream of [this.#shell.stdout, this.#shell.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        this.#output += text;
        this.#heard();
      });
    }
  }

  /** Runs a shell snippet, or saves a file under the name in its first line. Returns the output of the shell. */
  async follow({ language, text, line }) {
    if (language !== 'sh') {
      const name = text.match(/^(?:\/\/|<!--) (\S+)/)?.[1];
      if (!name) throw new Error(`line ${line}: the snippet does not name its file`);
      await writeFile(join(this.#folder, name), text);
      return '';
    }
    this.#output = '';
    const mark = `snippet of line ${line} ended with`;
    const ended = new RegExp(`${mark} (\\d+)\n`);
    this.#shell.stdin.write(`set -o pipefail -o errtrace; trap 'failed=1' ERR; failed=0\n${text}\necho "${mark} $failed"\n`);
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      const found = this.#output.match(ended);
      if (found?.[1] === '0') return this.#output.slice(0, found.index);
      if (found) throw new Error(`line ${line}: a command failed\n${this.#output}`);
      if (performance.now() > deadline) throw new Error(`line ${line}: not after ${PATIENCE_MS} ms\n${this.#output}`);
      await new Promise((resolve) => {
        this.#heard = resolve;
        setTimeout(resolve, 1_000);
      });
    }
  }

  /** Ends the shell and what it has started. */
  async close() {
    const ended = new Promise((resolve) => this.#shell.once('exit', resolve));
    process.kill(-this.#shell.pid, 'SIGTERM');
    this.#shell.stdin.end();
    await ended;
  }
}
