// node slim.mjs FROM TO GLUE: takes out of a WebAssembly program what only prepares a panic's message, and gives its
// imports short names, in the JavaScript module GLUE too.
//
// A panic of the recorder is a trap without words anyway (nothing prints them), but the standard library comes
// compiled with its messages. With the bodies of those functions replaced by `unreachable` a panic traps a little
// earlier, and wasm-opt, which must run after this, removes what only they needed. The program must have its names
// still (strip = "debuginfo").
import { readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Functions of which nothing comes back, by name. */
const PANICS = [
  /^core::panicking::/,
  /^std::panicking::/,
  /^<?core::(option|result)::(unwrap|expect)_failed/,
  /^<?core::slice::\w+::(slice_\w+_fail|\w+_fail|len_mismatch_fail)\b/,
  /^core::str::slice_error_fail/,
  /^core::cell::panic_already/,
  /^alloc::(raw_vec::(capacity_overflow|handle_error)|alloc::handle_alloc_error)/,
  // Asked for by panics only, but through a table of functions, so wasm-opt cannot know.
  / as core::fmt::Debug>::fmt/,
];
const FUNCTION = 0;
const [IMPORTS, CODE, DATA, CUSTOM] = [2, 10, 11, 0];

const [from, to, glue] = process.argv.slice(2);
const bytes = readFileSync(from);

/** Reads an unsigned number in LEB128; answers it and where it ends. */
function read(at) {
  let value = 0;
  for (let scale = 1; ; scale *= 128) {
    const byte = bytes[at++];
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return [value, at];
  }
}

function number(value) {
  const out = [];
  do {
    out.push((value % 128) | (value >= 128 ? 0x80 : 0));
    value = Math.floor(value / 128);
  } while (value);
  return Buffer.from(out);
}

function text(at) {
  const [length, start] = read(at);
  return [bytes.toString('utf8', start, start + length), start + length];
}

function* sections() {
  for (let at = 8; at < bytes.length; ) {
    const [length, start] = read(at + 1);
    yield { id: bytes[at], begin: at, start, end: start + length };
    at = start + length;
  }
}

/** The imports: how many of them are functions, and the section with short names; long ones by short ones. */
function shortImports({ start, end }) {
  const out = [];
  const renamed = new Map();
  let functions = 0;
  let [count, at] = read(start);
  out.push(number(count));
  while (count--) {
    const begin = at;
    let name;
    [, at] = text(at);
    const middle = at;
    [name, at] = text(at);
    // The hash at the end of a name is half of what imports come to.
    if (!renamed.has(name)) renamed.set(name, name.startsWith('__wbg_') ? `$${renamed.size.toString(36)}` : name);
    if (bytes[at] !== FUNCTION) throw new Error('an import that is no function is new to slim.mjs');
    functions += 1;
    const kind = at;
    [, at] = read(at + 1);
    const short = Buffer.from(renamed.get(name));
    out.push(bytes.subarray(begin, middle), number(short.length), short, bytes.subarray(kind, at));
  }
  if (at !== end) throw new Error('the imports are not as slim.mjs knows them');
  return { functions, renamed, content: Buffer.concat(out) };
}

/** Names of functions by index, without the hashes of crates. */
function functionNames({ start, end }) {
  const names = new Map();
  let [name, at] = text(start);
  if (name !== 'name') return names;
  while (at < end) {
    const [length, begin] = read(at + 1);
    if (bytes[at] === 1) {
      let [count, here] = read(begin);
      while (count--) {
        let index;
        [index, here] = read(here);
        [name, here] = text(here);
        names.set(index, name.replace(/\[[0-9a-f]{16}\]/g, ''));
      }
    }
    at = begin + length;
  }
  return names;
}

function withoutPanics({ start }, imported, names) {
  let [count, at] = read(start);
  const bodies = [number(count)];
  let emptied = 0;
  for (let index = imported; index < imported + count; index += 1) {
    const [length, body] = read(at);
    if (PANICS.some((it) => it.test(names.get(index) ?? ''))) {
      emptied += 1;
      // Three bytes: no locals, `unreachable`, `end`.
      bodies.push(Buffer.from([3, 0, 0x00, 0x0b]));
    } else bodies.push(bytes.subarray(at, body + length));
    at = body + length;
  }
  if (emptied < 20) throw new Error(`only ${emptied} functions of panics were found: their names have changed`);
  return Buffer.concat(bodies);
}

/** The data with zeros for the places in sources (`core::panic::Location`) that panics would name. */
function withoutPlaces({ start, end }) {
  const data = Buffer.from(bytes.subarray(start, end));
  let [count, at] = read(start);
  const segments = [];
  while (count--) {
    // An active segment: flags 0, `i32.const` offset `end`.
    if (bytes[at] !== 0 || bytes[at + 1] !== 0x41) throw new Error('a segment of data is new to slim.mjs');
    let base = 0;
    let shift = 0;
    at += 2;
    do base |= (bytes[at] & 0x7f) << (7 * shift++);
    while (bytes[at++] & 0x80);
    const [length, content] = read(at + 1);
    segments.push({ base, at: content - start, length });
    at = content + length;
  }
  const home = process.env.CARGO_HOME ?? join(homedir(), '.cargo');
  const roots = ['/rustc/[0-9a-f]{40}/', '/rust/deps/', `${home.replace(/[.+]/g, '\\$&')}/`, '(?:client|tus|media|api)/src/'];
  const path = new RegExp(`(?:${roots.join('|')})[\\w/.-]+?\\.rs\0`, 'g');
  const files = new Map();
  for (const { base, at: begin, length } of segments) {
    for (const { 0: file, index } of data.toString('latin1', begin, begin + length).matchAll(path)) {
      files.set(base + index, file.length - 1);
      data.fill(0, begin + index, begin + index + file.length);
    }
  }
  for (const { base, at: begin, length } of segments) {
    // Address and length of the file's name, line, column.
    for (let here = (4 - (base % 4)) % 4; here + 16 <= length; here += 4) {
      const place = begin + here;
      if (files.get(data.readUInt32LE(place)) === data.readUInt32LE(place + 4) && data.readUInt32LE(place)) {
        data.fill(0, place, place + 16);
      }
    }
  }
  return data;
}

const all = [...sections()];
const names = new Map(all.filter(({ id }) => id === CUSTOM).flatMap((it) => [...functionNames(it)]));
const imports = shortImports(all.find(({ id }) => id === IMPORTS));
const content = (section) => {
  if (section.id === IMPORTS) return imports.content;
  if (section.id === CODE) return withoutPanics(section, imports.functions, names);
  if (section.id === DATA) return withoutPlaces(section);
  return bytes.subarray(section.start, section.end);
};
const slim = all.flatMap((section) => {
  const inside = content(section);
  return [Buffer.from([section.id]), number(inside.length), inside];
});
writeFileSync(to, Buffer.concat([bytes.subarray(0, 8), ...slim]));

const script = readFileSync(glue, 'utf8');
const short = (name) => imports.renamed.get(name) ?? name;
writeFileSync(glue, script.replace(/\b__wbg_\w+/g, short));
