// tuspy, from Python.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { MIB, Sut, noise } from './support/sut.mjs';

const run = promisify(execFile);
const python = process.env.SORTIE_PYTHON;
const program = new URL('tuspy_upload.py', import.meta.url).pathname;

let sut;
before(async () => {
  assert.ok(python, 'SORTIE_PYTHON names the Python that has tuspy; scripts/test.sh sets it');
  sut = await Sut.start();
});
after(() => sut.close());

/** Runs `tuspy_upload.py` and returns its output. */
async function tuspy(how, path) {
  const { stdout } = await run(python, [program, how, sut.endpoint, path, JSON.stringify(sut.headers)]);
  return JSON.parse(stdout);
}

for (const [how, what] of [
  ['chunks', 'tuspy uploads chunks'],
  ['checksums', 'tuspy uploads chunks with checksums'],
  ['resume', 'tuspy resumes with another uploader'],
  ['async', 'tuspy uploads asynchronously'],
]) {
  test(what, async () => {
    const sent = noise(3 * MIB + 11, how.length);
    const { url, offset } = await tuspy(how, await sut.file(`${how}.bin`, sent));
    assert.equal(offset, sent.length);
    await sut.assertArrived(url, sent);
  });
}

test('WebM file becomes a recording with its name', async () => {
  const { url } = await tuspy('checksums', await sut.file('python.webm', sut.webm));
  const recording = await sut.assertPlayable(url, 'tuspy');
  assert.equal(recording.filename, 'python.webm');
});

test('OPTIONS lists the extensions', async () => {
  const offered = await tuspy('options', sut.folder);
  assert.deepEqual(offered.extensions.sort(), [
    'checksum', 'concatenation', 'creation', 'creation-defer-length', 'creation-with-upload', 'expiration',
    'termination',
  ]);
  assert.equal(offered.version, '1.0.0');
});
