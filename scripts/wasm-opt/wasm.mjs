// Reads and writes what the scripts here need of WebAssembly's binary format (core specification, chapter 5).

/** What the parts of a module are called there. */
export const SECTION = {
  CUSTOM: 0, TYPE: 1, IMPORT: 2, FUNCTION: 3, TABLE: 4, MEMORY: 5, GLOBAL: 6, EXPORT: 7, ELEMENT: 9, CODE: 10, DATA: 11,
};
/** What can be imported and exported. */
export const KIND = { FUNCTION: 0, TABLE: 1, MEMORY: 2, GLOBAL: 3 };

/** The section in which `reach.mjs` tells `split.mjs` where data is that only the later part needs. */
export const LATER_DATA = 'later-data';

/** Goes through bytes from `at` on. */
export class Reader {
  constructor(bytes, at = 0, end = bytes.length) {
    Object.assign(this, { bytes, at, end });
  }

  byte() {
    this.skip(1);
    return this.bytes[this.at - 1];
  }

  /** An unsigned number in LEB128. */
  number() {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  }

  /** A signed number of 32 bits in LEB128. */
  signed() {
    let value = 0;
    let shift = 0;
    let byte;
    do {
      byte = this.byte();
      value |= (byte & 0x7f) << shift;
      shift += 7;
    } while (byte & 0x80);
    return shift < 32 && byte & 0x40 ? value | (-1 << shift) : value;
  }

  skip(bytes) {
    this.at += bytes;
    if (this.at > this.end) throw new Error('the program is cut off');
  }

  text() {
    const length = this.number();
    this.skip(length);
    return this.bytes.toString('utf8', this.at - length, this.at);
  }

  /** As many times as the number that comes says. */
  *times() {
    for (let count = this.number(), i = 0; i < count; i += 1) yield i;
  }
}

export function number(value) {
  const out = [];
  do {
    out.push((value % 128) | (value >= 128 ? 0x80 : 0));
    value = Math.floor(value / 128);
  } while (value);
  return Buffer.from(out);
}

export function signed(value) {
  const out = [];
  for (;;) {
    const low = value & 0x7f;
    value >>= 7;
    if ((value === 0 && !(low & 0x40)) || (value === -1 && low & 0x40)) return Buffer.from([...out, low]);
    out.push(low | 0x80);
  }
}

export function text(value) {
  const bytes = Buffer.from(value);
  return Buffer.concat([number(bytes.length), bytes]);
}

/** Items with their number before them. */
export const list = (items) => Buffer.concat([number(items.length), ...items]);

/** The sections of a module, with their contents. */
export function sections(bytes) {
  const found = [];
  for (const reader = new Reader(bytes, 8); reader.at < bytes.length;) {
    const id = reader.byte();
    const length = reader.number();
    const content = bytes.subarray(reader.at, reader.at + length);
    const name = id === SECTION.CUSTOM ? new Reader(content).text() : undefined;
    found.push({ id, name, content });
    reader.skip(length);
  }
  return found;
}

/** A module of these sections. */
export function module(parts) {
  const head = Buffer.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
  const each = parts.flatMap(({ id, content }) => [Buffer.from([id]), number(content.length), content]);
  return Buffer.concat([head, ...each]);
}

/** The content of the section `id`; empty when there is none. */
export const sectionOf = (all, id) => all.find((it) => it.id === id)?.content ?? Buffer.from([0]);

/** The imports; their functions come before all others. */
export function imports(content) {
  const reader = new Reader(content);
  const found = [];
  for (const _ of reader.times()) {
    const from = reader.text();
    const name = reader.text();
    if (reader.byte() !== KIND.FUNCTION) throw new Error('an import that is no function is new here');
    found.push({ from, name, type: reader.number() });
  }
  return found;
}

export function exports(content) {
  const reader = new Reader(content);
  return Array.from(reader.times(), () => ({ name: reader.text(), kind: reader.byte(), index: reader.number() }));
}

/** Where in the content of a code section the bodies are, with their locals and without their size. */
export function bodies(content) {
  const reader = new Reader(content);
  return Array.from(reader.times(), () => {
    const length = reader.number();
    reader.skip(length);
    return { start: reader.at - length, end: reader.at };
  });
}

/** A code section of these bodies. */
export const code = (all) => list(all.map((it) => Buffer.concat([number(it.length), it])));

/** The active segments of a data section: address, and where in the content the bytes are. */
export function segments(content) {
  const reader = new Reader(content);
  return Array.from(reader.times(), () => {
    if (reader.byte() !== 0 || reader.byte() !== 0x41) throw new Error('a segment of data is new here');
    const address = reader.signed();
    reader.skip(1);
    const length = reader.number();
    reader.skip(length);
    return { address, start: reader.at - length, end: reader.at };
  });
}

const FUNCTION_NAMES = 1;

/** The names of functions by index. */
export function functionNames(content) {
  const names = new Map();
  const reader = new Reader(content);
  reader.text();
  while (reader.at < reader.end) {
    const id = reader.byte();
    const length = reader.number();
    const end = reader.at + length;
    if (id === FUNCTION_NAMES) for (const _ of reader.times()) names.set(reader.number(), reader.text());
    reader.at = end;
  }
  return names;
}

/** A section of names for functions, in the order of their indices. */
export function nameSection(names) {
  const content = list([...names].sort(([a], [b]) => a - b).map(([index, name]) => Buffer.concat([number(index), text(name)])));
  return {
    id: SECTION.CUSTOM,
    name: 'name',
    content: Buffer.concat([text('name'), Buffer.from([FUNCTION_NAMES]), number(content.length), content]),
  };
}

/** How many numbers in LEB128 follow an instruction. */
const OPERANDS = new Map([
  // Blocks, branches and calls.
  ...[0x02, 0x03, 0x04, 0x0c, 0x0d, 0x10, 0x12].map((it) => [it, 1]),
  [0x11, 2], [0x13, 2],
  // Variables, tables, the size of memory, constants, references.
  ...[0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x3f, 0x40, 0x41, 0x42, 0xd0, 0xd2].map((it) => [it, 1]),
  // Loads and stores.
  ...Array.from({ length: 0x3e - 0x28 + 1 }, (_, i) => [0x28 + i, 2]),
]);
/** The same for those behind 0xfc: rounding numbers, and memories and tables as a whole. */
const MORE_OPERANDS = [0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 2, 1, 2, 1, 2, 1, 1, 1];
const PLAIN = (it) => [0x00, 0x01, 0x05, 0x0b, 0x0f, 0x1a, 0x1b, 0xd1].includes(it) || (it >= 0x45 && it <= 0xc4);

/** The functions that a body calls by their index. */
export function calls(bytes) {
  const found = new Set();
  const reader = new Reader(bytes);
  for (const _ of reader.times()) {
    reader.number();
    reader.byte();
  }
  while (reader.at < reader.end) {
    const instruction = reader.byte();
    const operands = OPERANDS.get(instruction);
    if (instruction === 0x10 || instruction === 0x12 || instruction === 0xd2) found.add(reader.number());
    else if (operands) for (let i = 0; i < operands; i += 1) reader.number();
    else if (instruction === 0x0e) for (let left = reader.number() + 1; left; left -= 1) reader.number();
    else if (instruction === 0x1c) for (const _ of reader.times()) reader.byte();
    else if (instruction === 0x43) reader.skip(4);
    else if (instruction === 0x44) reader.skip(8);
    else if (instruction === 0xfc) {
      const more = reader.number();
      if (!(more in MORE_OPERANDS)) throw new Error(`the instruction fc ${more.toString(16)} is new here`);
      for (let left = MORE_OPERANDS[more]; left; left -= 1) reader.number();
    } else if (!PLAIN(instruction)) throw new Error(`the instruction ${instruction.toString(16)} is new here`);
  }
  return found;
}
