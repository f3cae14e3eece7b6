// node reach.mjs FROM TO LATER: finds out what of a program, as the linker made it, is wanted when.
//
// What only exports that match LATER lead to is marked so in the functions' names, and so is what only a panic's message
// led to: `slim.mjs` and `split.mjs` act on it. Data that only such messages needed is overwritten with zeros, which
// wasm-opt leaves out; where there is data that only those exports need, a section of its own says. The program must have
// been linked with --emit-relocs: its relocations say for sure what refers to
// what, which nothing says any more once wasm-bindgen has been over it.
import { readFileSync, writeFileSync } from 'node:fs';
import { isPanic } from './panics.mjs';
import {
  KIND, LATER_DATA, Reader, SECTION, bodies, exports, functionNames, imports, list, module, nameSection, number, sectionOf,
  sections, segments, text,
} from './wasm.mjs';

/** Of the convention between compilers and linkers (tool-conventions, Linking.md). */
const SYMBOL_TABLE = 8;
const SYMBOL = { FUNCTION: 0, DATA: 1, SECTION: 3 };
const [UNDEFINED, EXPLICIT_NAME] = [0x10, 0x40];
/** Kinds of relocations: to functions, to data, and those that bring a number with them. */
const TO_FUNCTION = new Set([0, 1, 2, 12, 18, 19, 24, 26]);
const TO_DATA = new Set([3, 4, 5, 11, 14, 15, 16, 17, 21, 23, 25]);
const CALL = 0;
const I32_CONST = 0x41;
const WITH_ADDEND = new Set([...TO_DATA, 8, 9, 22]);

/** The nodes that symbols stand for: a function by its index, data by where it is in its section, or nothing. */
function symbols(content, room) {
  const reader = new Reader(content);
  reader.text();
  if (reader.number() !== 2) throw new Error('this version of linking is new here');
  const found = [];
  while (reader.at < reader.end) {
    const id = reader.byte();
    const length = reader.number();
    const end = reader.at + length;
    if (id === SYMBOL_TABLE) for (const _ of reader.times()) found.push(symbol(reader, room));
    reader.at = end;
  }
  return found;
}

function symbol(reader, room) {
  const kind = reader.byte();
  const flags = reader.number();
  if (kind === SYMBOL.DATA) {
    reader.text();
    if (flags & UNDEFINED) return undefined;
    const [segment, offset, length] = [reader.number(), reader.number(), reader.number()];
    // What is all zeros has no segment.
    const start = room[segment]?.start + offset;
    return room[segment] && { start, end: start + length };
  }
  const index = reader.number();
  if (kind !== SYMBOL.SECTION && (!(flags & UNDEFINED) || flags & EXPLICIT_NAME)) reader.text();
  return kind === SYMBOL.FUNCTION ? index : undefined;
}

/** The relocations of a section, in the order of their places: place and node. */
function relocations(name, nodes) {
  const reader = new Reader(named(name));
  reader.text();
  reader.number();
  const found = [];
  for (const _ of reader.times()) {
    const type = reader.byte();
    const [place, index] = [reader.number(), reader.number()];
    if (WITH_ADDEND.has(type)) reader.signed();
    if (TO_FUNCTION.has(type) || TO_DATA.has(type)) found.push({ place, node: nodes[index], calls: type === CALL });
  }
  return found.sort((a, b) => a.place - b.place);
}

/** Of things sorted by place those from `start` up to `end`. */
function within(sorted, start, end) {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle].place < start) low = middle + 1;
    else high = middle;
  }
  let last = low;
  while (last < sorted.length && sorted[last].place < end) last += 1;
  return sorted.slice(low, last);
}

const overlap = (one, other) => one.start < other.end && other.start < one.end;

const [from, to, laterNames] = process.argv.slice(2);
const all = sections(readFileSync(from));
const named = (name) => {
  const found = all.find((it) => it.name === name);
  if (!found) throw new Error(`there is no section ${name}: the program must be linked with --emit-relocs`);
  return found.content;
};
const names = functionNames(named('name'));
const panics = [...names.values()].filter(isPanic).length;
if (panics < 20) throw new Error(`only ${panics} functions of panics were found: their names have changed`);
const imported = imports(sectionOf(all, SECTION.IMPORT)).length;
const codeSection = sectionOf(all, SECTION.CODE);
const places = bodies(codeSection);
const data = sectionOf(all, SECTION.DATA);
const room = segments(data);
const nodes = symbols(named('linking'), room);
const inCode = relocations('reloc.CODE', nodes);
const inData = relocations('reloc.DATA', nodes);
for (const { place, node, calls } of inCode) {
  if (calls && new Reader(codeSection, place).number() !== node) throw new Error('the relocations do not fit the code');
}

/** Where a node refers to others. */
function references(node) {
  if (typeof node === 'object') return within(inData, node.start, node.end);
  const body = places[node - imported];
  // Of a panic nothing is left but that it ends there.
  if (!body || isPanic(names.get(node))) return [];
  return within(inCode, body.start, body.end).filter((it) => typeof it.node !== 'object' || !isForPanic(it.place));
}

/** Whether the constant at `place` is handed to a panic: nothing but constants follow, and then the call. */
function isForPanic(place) {
  if (codeSection[place - 1] !== I32_CONST) return false;
  const reader = new Reader(codeSection, place);
  reader.signed();
  for (;;) {
    const instruction = reader.byte();
    if (instruction === 0x10) return isPanic(names.get(reader.number()));
    if (instruction !== I32_CONST) return false;
    reader.signed();
  }
}

function reach(roots, seen) {
  for (const wanted = [...roots]; wanted.length;) {
    const node = wanted.pop();
    if (node === undefined || seen.has(node)) continue;
    seen.add(node);
    wanted.push(...references(node).map((it) => it.node));
  }
  return seen;
}

const entries = exports(sectionOf(all, SECTION.EXPORT)).filter(({ kind }) => kind === KIND.FUNCTION);
const isLater = ({ name }) => new RegExp(laterNames).test(name);
const roots = (some) => some.map(({ index }) => index);
const spans = nodes.filter((it) => typeof it === 'object');
// Data that no symbol is responsible for is there for some reason.
const nobodys = inData.filter(({ place }) => !spans.some(({ start, end }) => start <= place && place < end));
const now = reach([
  ...roots(entries.filter((it) => !isLater(it))),
  ...nobodys.map(({ node }) => node),
], new Set());
const ever = reach(roots(entries.filter(isLater)), new Set(now));

const marked = new Map([...names].map(([index, name]) => {
  if (index < imported || now.has(index)) return [index, name];
  return [index, `${name} ${ever.has(index) ? '@later' : '@unused'}`];
}));

const slim = Buffer.from(data);
for (const it of spans) if (!ever.has(it)) slim.fill(0, it.start, it.end);
// Symbols may lie over each other.
for (const it of spans) if (ever.has(it)) data.copy(slim, it.start, it.start, it.end);

/** Address and length of what only later needs. */
const laterData = spans.filter((it) => ever.has(it) && !spans.some((other) => now.has(other) && overlap(it, other)));
const addressed = laterData.map(({ start, end }) => {
  const { address, start: first } = room.find((it) => it.start <= start && start < it.end);
  return Buffer.concat([number(address + start - first), number(end - start)]);
});

const kept = all.filter(({ name = '' }) => name !== 'linking' && !name.startsWith('reloc.'));
writeFileSync(to, module([
  ...kept.map((section) => {
    if (section.name === 'name') return nameSection(marked);
    return section.id === SECTION.DATA ? { ...section, content: slim } : section;
  }),
  { id: SECTION.CUSTOM, content: Buffer.concat([text(LATER_DATA), list(addressed)]) },
]));
