// node split.mjs FROM CORE LATER: cuts a program in two. LATER gets the functions that `reach.mjs` has marked `@later` and
// the data that only they need, CORE all others and everything that there can be only one of: memory, tables, exports.
//
// Both number their functions like the whole, so no body has to be written anew. Where a function of the other half is
// called, this half has a stub of the same number, which calls through the one table: what LATER needs of CORE is there
// from the beginning, LATER puts its own functions in when it is instantiated, with CORE's exports as its imports from
// `core`. Before that nobody may call what is in it. wasm-opt, which must run after this, takes the stubs out that
// nobody calls.
import { readFileSync, writeFileSync } from 'node:fs';
import {
  KIND, LATER_DATA, Reader, SECTION, bodies, calls, code, exports, functionNames, imports, list, module, number, sectionOf,
  sections, segments, signed, text,
} from './wasm.mjs';

const FUNCTIONS = 0x70;
/** No locals, `unreachable`, `end`. */
const NOTHING = Buffer.from([0, 0x00, 0x0b]);

/** How many parameters the types have. */
function parameters(content) {
  const reader = new Reader(content);
  return Array.from(reader.times(), () => {
    if (reader.byte() !== 0x60) throw new Error('a type that is no function\'s is new here');
    const count = reader.number();
    reader.skip(count);
    reader.skip(reader.number());
    return count;
  });
}

/** Tables or memories: what comes before the limits, and the limits. */
function limited(content, hasType) {
  const reader = new Reader(content);
  return Array.from(reader.times(), () => {
    const type = hasType ? reader.byte() : undefined;
    const hasMost = reader.byte() & 1;
    const least = reader.number();
    return { type, least, most: hasMost ? reader.number() : undefined };
  });
}

const limits = ({ type, least, most }) => Buffer.concat([
  Buffer.from([...(type === undefined ? [] : [type]), most === undefined ? 0 : 1]),
  number(least),
  ...(most === undefined ? [] : [number(most)]),
]);

/** The types of globals, with whether they can be changed. */
function globals(content) {
  const reader = new Reader(content);
  return Array.from(reader.times(), () => {
    const type = Buffer.from([reader.byte(), reader.byte()]);
    // `i32.const`, a number, `end`.
    if (reader.byte() !== 0x41) throw new Error('a global that is no address is new here');
    reader.signed();
    reader.skip(1);
    return type;
  });
}

/** The active segments of the first table: slot and functions. */
function elements(content) {
  const reader = new Reader(content);
  return Array.from(reader.times(), () => {
    if (reader.byte() !== 0 || reader.byte() !== 0x41) throw new Error('a segment of a table is new here');
    const slot = reader.signed();
    reader.skip(1);
    return { slot, functions: Array.from(reader.times(), () => reader.number()) };
  });
}

const segment = ({ slot, functions }) =>
  Buffer.concat([Buffer.from([0, 0x41]), signed(slot), Buffer.from([0x0b]), list(functions.map(number))]);

const [from, coreFile, laterFile] = process.argv.slice(2);
const all = sections(readFileSync(from));
const names = functionNames(all.find(({ name }) => name === 'name').content);
const imported = imports(sectionOf(all, SECTION.IMPORT));
const types = new Reader(sectionOf(all, SECTION.FUNCTION));
const typeOf = Array.from(types.times(), () => types.number());
const parametersOf = parameters(sectionOf(all, SECTION.TYPE));
const codeSection = sectionOf(all, SECTION.CODE);
const whole = bodies(codeSection).map(({ start, end }) => codeSection.subarray(start, end));
const tables = limited(sectionOf(all, SECTION.TABLE), true);
const memories = limited(sectionOf(all, SECTION.MEMORY));
const exported = exports(sectionOf(all, SECTION.EXPORT));
const filled = elements(sectionOf(all, SECTION.ELEMENT));
if (tables[0].type !== FUNCTIONS) throw new Error('the first table is not that of functions');

const indices = whole.map((_, i) => imported.length + i);
const isLater = (index) => (names.get(index) ?? '').endsWith(' @later');
const callsOf = new Map(indices.map((index, i) => [index, calls(whole[i])]));
const calledFrom = (some) => new Set(indices.filter(some).flatMap((index) => [...callsOf.get(index)]));
const byNow = calledFrom((it) => !isLater(it));
for (const { kind, index } of exported) if (kind === KIND.FUNCTION) byNow.add(index);
const byLater = calledFrom(isLater);
/** What the one half calls of the other. */
const wanted = indices.filter((it) => (isLater(it) ? byNow : byLater).has(it));

const slots = new Map(filled.flatMap(({ slot, functions }) => functions.map((it, i) => [it, slot + i])));
let end = Math.max(tables[0].least, tables[0].most ?? 0);
const lent = { slot: end, functions: wanted.filter((it) => !isLater(it) && !slots.has(it)) };
for (const it of [...lent.functions, ...wanted.filter((it) => !slots.has(it) && isLater(it))]) slots.set(it, end++);
tables[0] = { ...tables[0], least: end, most: end };

function stub(index) {
  const type = typeOf[index - imported.length];
  const given = Array.from({ length: parametersOf[type] }, (_, i) => Buffer.concat([Buffer.from([0x20]), number(i)]));
  // `i32.const` slot, `call_indirect` type in the first table, `end`.
  const call = [Buffer.from([0x41]), signed(slots.get(index)), Buffer.from([0x11]), number(type), Buffer.from([0, 0x0b])];
  return Buffer.concat([Buffer.from([0]), ...given, ...call]);
}

/** The code of the half that has these functions. */
function half(isOurs) {
  const stubs = new Set(wanted);
  return code(indices.map((index, i) => {
    if (isOurs(index)) return whole[i];
    return stubs.has(index) ? stub(index) : NOTHING;
  }));
}

/** What LATER imports of CORE, by names of their own. */
const shared = [
  ...memories.map((it, i) => ({ kind: KIND.MEMORY, name: `m${i}`, index: i, type: limits({ ...it, most: undefined }) })),
  ...tables.map((it, i) => ({ kind: KIND.TABLE, name: `t${i}`, index: i, type: limits({ ...it, most: undefined }) })),
  ...globals(sectionOf(all, SECTION.GLOBAL)).map((type, i) => ({ kind: KIND.GLOBAL, name: `g${i}`, index: i, type })),
];
const entry = ({ name, kind, index }) => Buffer.concat([text(name), Buffer.from([kind]), number(index)]);
const importEntry = ({ from: where, name, type }) => Buffer.concat([text(where), text(name), Buffer.from([0]), number(type)]);
const sharedEntry = ({ name, kind, type }) => Buffer.concat([text('core'), text(name), Buffer.from([kind]), type]);

/** What LATER puts into the table, in runs. */
function own() {
  const runs = [];
  for (const [index, slot] of [...slots].filter(([it]) => isLater(it)).sort(([, a], [, b]) => a - b)) {
    const last = runs.at(-1);
    if (last && last.slot + last.functions.length === slot) last.functions.push(index);
    else runs.push({ slot, functions: [index] });
  }
  return runs;
}

/** Data of the one half and of the other: in CORE zeros, which wasm-opt leaves out, are where LATER's will be. */
function data() {
  const content = sectionOf(all, SECTION.DATA);
  const room = segments(content);
  const ours = Buffer.from(content);
  const theirs = laterData().map(({ address, length }) => {
    const where = room.find((it) => it.address <= address && address + length <= it.address + it.end - it.start);
    if (!where) throw new Error('data for later is not where it was');
    const start = where.start + address - where.address;
    ours.fill(0, start, start + length);
    const bytes = content.subarray(start, start + length);
    return Buffer.concat([Buffer.from([0, 0x41]), signed(address), Buffer.from([0x0b]), number(length), bytes]);
  });
  return [ours, list(theirs)];
}

function laterData() {
  const section = all.find(({ name }) => name === LATER_DATA);
  if (!section) return [];
  const reader = new Reader(section.content);
  reader.text();
  return Array.from(reader.times(), () => ({ address: reader.number(), length: reader.number() }));
}

const [coreData, dataForLater] = data();
const core = new Map([
  [SECTION.TABLE, list(tables.map(limits))],
  [SECTION.EXPORT, list([...exported, ...shared].map(entry))],
  [SECTION.ELEMENT, list([...filled, lent].map(segment))],
  [SECTION.CODE, half((it) => !isLater(it))],
  [SECTION.DATA, coreData],
]);
writeFileSync(coreFile, module(all.filter(({ name }) => name !== LATER_DATA).map(({ id, content }) => ({ id, content: core.get(id) ?? content }))));

const later = new Map([
  [SECTION.IMPORT, list([...imported.map(importEntry), ...shared.map(sharedEntry)])],
  [SECTION.ELEMENT, list(own().map(segment))],
  [SECTION.CODE, half(isLater)],
  [SECTION.DATA, dataForLater],
]);
const kept = [SECTION.TYPE, SECTION.IMPORT, SECTION.FUNCTION, SECTION.ELEMENT, SECTION.CODE, SECTION.DATA];
writeFileSync(laterFile, module(all
  .filter(({ id, name }) => kept.includes(id) || name === 'name')
  .map(({ id, content }) => ({ id, content: later.get(id) ?? content }))));
