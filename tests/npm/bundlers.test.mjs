// The packed package, installed into fresh projects: without a build step, with Vite (built, and its development
// server), with webpack. No project configures anything for it.

import assert from 'node:assert/strict';
import { copyFile, mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { nodeResolve } from '@rollup/plugin-node-resolve';
import { build as esbuild } from 'esbuild';
import { rollup } from 'rollup';
import { createServer as createVite } from 'vite';
import { withPage } from '../browser/support/browser.mjs';
import { freePort } from './support/port.mjs';
import { program, project, run } from './support/project.mjs';
import { recordWithExample } from './support/recording.mjs';
import { useSite } from './support/stage.mjs';

/** The strictest policy that the recorder works with, as described in docs/recorder.md. */
const policy = (server) => ({
  'content-security-policy': [
    "default-src 'none'", "script-src 'self' 'wasm-unsafe-eval'", "style-src 'self'", "worker-src 'self' blob:",
    `connect-src 'self' ${server}`, "require-trusted-types-for 'script'",
  ].join('; '),
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
});

describe('the package in fresh projects', { timeout: 600_000, concurrency: 2 }, () => {
  const stage = useSite({ origin: async () => `http://127.0.0.1:${devPort = await freePort()}` });
  let site, server, context, api, devPort;

  before(() => ({ site, server, context, api } = stage));

  /** Records with the example that is served at `url`. */
  const records = (url, title) =>
    withPage(context, title, async (page) => {
      const failed = [];
      page.on('response', (response) => response.status() >= 400 && failed.push(`${response.status()} ${response.url()}`));
      await page.goto(url);
      const file = await recordWithExample(page, { server, api, title });
      assert.deepEqual([file.video.width, file.video.height], [640, 480]);
      assert.deepEqual(failed.filter((it) => !it.endsWith('favicon.ico')), [], 'something was not there');
    });

  describe('without a build, and built', { concurrency: 1 }, () => {
    test('a plain page with a strict policy, isolated from other origins', async () => {
      const folder = await project({ example: 'plain' });
      await records(site.add('plain', folder, policy(server.origin)), 'npm plain');
    });

    for (const framework of ['react', 'vue', 'svelte']) {
      test(`Vite and ${framework}, built`, async () => {
        const folder = await project({ example: `vite-${framework}` });
        await run(program('vite'), ['build', '--logLevel', 'warn'], { cwd: folder });
        await records(site.add(`vite-${framework}`, join(folder, 'dist')), `npm ${framework}`);
      });
    }

    test('esbuild, with the programs in a folder that the page names', async () => {
      const folder = await bundled('entry.js', "import { load } from 'sortie-recorder';\nawait load({ baseUrl: './programs' });\n");
      await esbuild({ absWorkingDir: folder, entryPoints: ['entry.js'], bundle: true, format: 'esm', outfile: 'main.js', logLevel: 'error' });
      await copyPrograms(folder, 'programs');
      await records(site.add('esbuild', folder), 'npm esbuild');
    });

    test('Rollup, with the programs beside the bundle', async () => {
      const folder = await bundled('entry.js');
      const bundle = await rollup({ input: join(folder, 'entry.js'), plugins: [nodeResolve()] });
      await bundle.write({ dir: folder, format: 'es', entryFileNames: 'main.js' });
      await bundle.close();
      await copyPrograms(folder, '.');
      await records(site.add('rollup', folder), 'npm rollup');
    });

    test('webpack 5', async () => {
      const folder = await bundled('entry.js');
      await bundle({ mode: 'production', context: folder, entry: './entry.js', output: { path: folder, filename: 'main.js' } });
      await records(site.add('webpack', folder), 'npm webpack');
    });
  });

  // One after the other, because they use the same port, whose origin the server allows.
  describe('development servers', { concurrency: 1 }, () => {
    test('Vite and React, on the development server', async () => {
      const folder = await project({ example: 'vite-react' });
      const vite = await createVite({ root: folder, logLevel: 'error', server: { host: '127.0.0.1', port: devPort, strictPort: true } });
      try {
        await vite.listen();
        await records(`http://127.0.0.1:${devPort}/`, 'npm vite serve');
      } finally {
        await vite.close();
      }
    });

    for (const name of ['vite5', 'vite6', 'vite7']) {
      test(`${name} on the development server, which moves packages into its cache`, async () => {
        const { createServer } = await import(name);
        const folder = await bundled('main.js');
        const vite = await createServer({ root: folder, logLevel: 'error', server: { host: '127.0.0.1', port: devPort, strictPort: true } });
        try {
          await vite.listen();
          await records(`http://127.0.0.1:${devPort}/`, `npm ${name} serve`);
        } finally {
          await vite.close();
        }
      });
    }

    for (const name of ['vite5', 'vite6', 'vite7']) {
      test(`${name} on the development server of a workspace with hoisted packages says what to configure`, async () => {
        const { createServer } = await import(name);
        const workspace = await bundled('app/main.js');
        const folder = join(workspace, 'app');
        for (const file of ['index.html', 'style.css']) await copyFile(join(workspace, file), join(folder, file));
        await writeFile(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
        await writeFile(join(workspace, 'package.json'), JSON.stringify({ private: true, workspaces: ['app'] }));
        const serve = async (use, optimizeDeps) => {
          const server = { host: '127.0.0.1', port: devPort, strictPort: true };
          const vite = await createServer({ root: folder, logLevel: 'error', server, optimizeDeps });
          try {
            await vite.listen();
            await use(`http://127.0.0.1:${devPort}/`);
          } finally {
            await vite.close();
          }
        };
        await serve((url) => withPage(context, `npm ${name} hoisted`, async (page) => {
          await page.goto(url);
          await page.getByRole('button', { name: 'Record' }).click();
          await page.locator('output', { hasText: "optimizeDeps: { exclude: ['sortie-recorder'] }" }).waitFor({ timeout: 30_000 });
        }));
        await serve((url) => records(url, `npm ${name} hoisted, excluded`), { exclude: ['sortie-recorder'] });
      });
    }
  });
});

/** The plain example in a fresh project; its script, which imports the package by name, is called `entry`. */
async function bundled(entry, before = '') {
  const source = await readFile(new URL('../../client/examples/plain/main.js', import.meta.url), 'utf8');
  const script = before + source.replace('./node_modules/sortie-recorder/index.js', 'sortie-recorder');
  return project({ example: 'plain', files: { [entry]: script } });
}

/** Copies the package's programs into `target`, as docs/recorder.md describes for bundlers that do not. */
async function copyPrograms(folder, target) {
  const installed = join(folder, 'node_modules/sortie-recorder');
  await mkdir(join(folder, target), { recursive: true });
  for (const name of (await readdir(installed)).filter((it) => it.endsWith('.wasm'))) {
    await copyFile(join(installed, name), join(folder, target, name));
  }
}

async function bundle(options) {
  const webpack = createRequire(import.meta.url)('webpack');
  const stats = await new Promise((resolve, reject) => {
    webpack(options, (error, result) => (error ? reject(error) : resolve(result)));
  });
  const { errors, warnings } = stats.toJson({ all: false, errors: true, warnings: true });
  assert.deepEqual([...errors, ...warnings].map((it) => it.message).filter((it) => !/size limit/.test(it)), []);
}
