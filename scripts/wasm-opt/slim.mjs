// node slim.mjs FROM TO GLUE: takes out of a WebAssembly program what only prepares a panic's message, and gives
// imports and exports with long names short ones, in the JavaScript module GLUE too.
//
// A panic of the recorder is a trap without words anyway (nothing prints them), but the standard library comes
// compiled with its messages. With the bodies of those functions replaced by `unreachable` a panic traps a little
// earlier, and wasm-opt, which must run after this, removes what only they needed. The program must have its names
// still (strip = "debuginfo").
import { readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { isPanic } from './panics.mjs';
import { SECTION, bodies, code, exports, functionNames, imports, list, module, number, sectionOf, sections, segments, text } from './wasm.mjs';

const [from, to, glue] = process.argv.slice(2);
const all = sections(readFileSync(from));
const imported = imports(sectionOf(all, SECTION.IMPORT));

const exported = exports(sectionOf(all, SECTION.EXPORT));

/** Long names by short ones: the hash at the end of a name is half of what imports come to. */
const renamed = new Map();
for (const { name } of [...imported, ...exported.filter((it) => it.name.startsWith('wasm_bindgen__'))]) {
  if (!renamed.has(name)) renamed.set(name, /^(__wbg_|wasm_bindgen__)/.test(name) ? `$${renamed.size.toString(36)}` : name);
}

const shortImports = () =>
  list(imported.map(({ from: where, name, type }) => Buffer.concat([text(where), text(renamed.get(name)), Buffer.from([0]), number(type)])));

const shortExports = () =>
  list(exported.map(({ name, kind, index }) => Buffer.concat([text(renamed.get(name) ?? name), Buffer.from([kind]), number(index)])));

function withoutPanics(content) {
  const names = functionNames(all.find(({ name }) => name === 'name').content);
  let emptied = 0;
  const kept = bodies(content).map(({ start, end }, i) => {
    const name = names.get(imported.length + i);
    const panics = isPanic(name);
    if (panics) emptied += 1;
    // No locals, `unreachable`, `end`.
    return panics || name?.endsWith(' @unused') ? Buffer.from([0, 0x00, 0x0b]) : content.subarray(start, end);
  });
  if (emptied < 20) throw new Error(`only ${emptied} functions of panics were found: their names have changed`);
  return code(kept);
}

/** The data with zeros for the places in sources (`core::panic::Location`) that panics would name. */
function withoutPlaces(content) {
  const data = Buffer.from(content);
  const home = process.env.CARGO_HOME ?? join(homedir(), '.cargo');
  const roots = ['/rustc/[0-9a-f]{40}/', '/rust/deps/', `${home.replace(/[.+]/g, '\\$&')}/`, '(?:client|tus|media|api)/src/'];
  const path = new RegExp(`(?:${roots.join('|')})[\\w/.-]+?\\.rs\0`, 'g');
  const files = new Map();
  const room = segments(content);
  for (const { address, start, end } of room) {
    for (const { 0: file, index } of data.toString('latin1', start, end).matchAll(path)) {
      files.set(address + index, file.length - 1);
      data.fill(0, start + index, start + index + file.length);
    }
  }
  for (const { address, start, end } of room) {
    // Address and length of the file's name, line, column.
    for (let place = start + ((4 - (address % 4)) % 4); place + 16 <= end; place += 4) {
      if (files.get(data.readUInt32LE(place)) === data.readUInt32LE(place + 4) && data.readUInt32LE(place)) {
        data.fill(0, place, place + 16);
      }
    }
  }
  return data;
}

const changed = new Map([
  [SECTION.IMPORT, shortImports],
  [SECTION.EXPORT, shortExports],
  [SECTION.CODE, withoutPanics],
  [SECTION.DATA, withoutPlaces],
]);
writeFileSync(to, module(all.map(({ id, content }) => ({ id, content: changed.get(id)?.(content) ?? content }))));

const script = readFileSync(glue, 'utf8');
writeFileSync(glue, script.replace(/\b(?:__wbg|wasm_bindgen_)_\w+/g, (name) => renamed.get(name) ?? name));
