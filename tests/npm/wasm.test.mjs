// What cuts the recorder's program in two (scripts/wasm-opt), on programs small enough to be written by hand.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import {
  KIND, LATER_DATA, Reader, SECTION, bodies, calls, code, functionNames, list, module, nameSection, number, sectionOf, sections,
  segments, signed, text,
} from '../../scripts/wasm-opt/wasm.mjs';

const [I32, I64, F64] = [0x7f, 0x7e, 0x7c];
const [CALL, CALL_INDIRECT, GET, SET_GLOBAL, GET_GLOBAL, CONST, ADD, LOAD, END] =
  [0x10, 0x11, 0x20, 0x24, 0x23, 0x41, 0x6a, 0x2d, 0x0b];

const bytes = (...some) => Buffer.concat(some.map((it) => (typeof it === 'number' ? Buffer.from([it]) : it)));
const type = (from, to) => bytes(0x60, list(from.map((it) => bytes(it))), list(to.map((it) => bytes(it))));
/** A body without locals. */
const body = (...instructions) => bytes(0, ...instructions, END);
const section = (id, ...content) => ({ id, content: bytes(...content) });
const custom = (name, ...content) => ({ id: SECTION.CUSTOM, name, content: bytes(text(name), ...content) });
const exported = (name, index) => bytes(text(name), KIND.FUNCTION, number(index));
const segment = (at, content) => bytes(0, CONST, signed(at), END, content);

describe('WebAssembly by hand', () => {
  let folder;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sortie-wasm-'));
  });
  after(() => rm(folder, { recursive: true }));

  /** Runs a script on a program; the files it makes. */
  async function run(script, program, files, ...more) {
    const path = (name) => join(folder, name);
    await writeFile(path('from.wasm'), program);
    const file = new URL(`../../scripts/wasm-opt/${script}`, import.meta.url).pathname;
    await promisify(execFile)(process.execPath, [file, path('from.wasm'), ...files.map(path), ...more]);
    return Promise.all(files.map((name) => readFile(path(name))));
  }

  test('numbers are written as the specification says, and read again', () => {
    for (const [value, hex] of [
      [0, '00'], [127, '7f'], [128, '8001'], [16_383, 'ff7f'], [16_384, '808001'], [624_485, 'e58e26'],
      [2 ** 31, '8080808008'], [2 ** 32 - 1, 'ffffffff0f'],
    ]) {
      assert.equal(number(value).toString('hex'), hex);
      assert.equal(new Reader(number(value)).number(), value);
    }
    for (const [value, hex] of [
      [0, '00'], [63, '3f'], [64, 'c000'], [-1, '7f'], [-64, '40'], [-65, 'bf7f'], [8191, 'ff3f'], [-123_456, 'c0bb78'],
      [2 ** 31 - 1, 'ffffffff07'], [-(2 ** 31), '8080808078'],
    ]) {
      assert.equal(signed(value).toString('hex'), hex);
      assert.equal(new Reader(signed(value)).signed(), value);
    }
    // As linkers leave room for what they fill in.
    assert.equal(new Reader(Buffer.from('8580808000', 'hex')).number(), 5);
    assert.equal(new Reader(Buffer.from('fbffffff7f', 'hex')).signed(), -5);
  });

  test('what is cut off is refused', () => {
    assert.throws(() => new Reader(Buffer.from([0x80])).number(), /cut off/);
    assert.throws(() => new Reader(Buffer.from([5, 0x61])).text(), /cut off/);
    assert.throws(() => sections(module([section(SECTION.TYPE, 0)]).subarray(0, -1)), /cut off/);
  });

  test('sections, names and segments come out as they went in', () => {
    const names = new Map([[300, 'b'], [1, 'a @later']]);
    const data = section(SECTION.DATA, list([segment(70_000, list([bytes(1), bytes(2)]))]));
    const found = sections(module([data, nameSection(names)]));
    assert.deepEqual(found.map(({ id, name }) => [id, name]), [[SECTION.DATA, undefined], [SECTION.CUSTOM, 'name']]);
    assert.deepEqual([...functionNames(found[1].content)], [[1, 'a @later'], [300, 'b']]);
    const [{ address, start, end }] = segments(found[0].content);
    assert.equal(address, 70_000);
    assert.deepEqual([...found[0].content.subarray(start, end)], [1, 2]);
    const all = code([body(CONST, signed(1), 0x1a), body()]);
    assert.deepEqual(bodies(all).map(({ start: from, end: to }) => to - from), [5, 2]);
  });

  test('calls are found among everything that only looks like one', () => {
    const tricky = Buffer.concat([
      // Locals, blocks and branches.
      list([bytes(number(16), I32)]), bytes(0x02, 0x40, 0x03, 0x40, 0x0e, list([number(1), number(0)]), number(0x10), END, END),
      // Constants and places that hold the bytes of a call.
      bytes(CONST, signed(0x10), 0x1a, 0x42, signed(0x10), 0x1a, 0x43, Buffer.alloc(4, 0x10), 0x1a, 0x44, Buffer.alloc(8, 0x10), 0x1a),
      bytes(GET, number(0x10), 0x1c, list([bytes(I32)]), LOAD, number(0), number(0x10), 0xd0, 0x70, 0x1a),
      // Memory as a whole, tables, indirect calls.
      bytes(0xfc, number(10), 0, 0, 0xfc, number(11), 0, 0xfc, number(14), 0, 0, 0xfc, number(2), CALL_INDIRECT, number(0x10), number(0)),
      bytes(CALL, number(300), 0x12, number(7), 0xd2, number(8), END),
    ]);
    assert.deepEqual([...calls(tricky)], [300, 7, 8]);
    for (const unknown of [bytes(0xfd, 0), bytes(0xfc, number(18)), bytes(0x06)]) {
      assert.throws(() => calls(bytes(0, unknown, END)), /new here/);
    }
  });

  // Function 0 is imported. The table has 64 slots, of which the last is filled: the next one is the first number that
  // takes two bytes when it has a sign.
  const WHOLE = module([
    section(SECTION.TYPE, list([type([I32], [I32]), type([I32, I64, F64], [F64])])),
    section(SECTION.IMPORT, list([bytes(text('env'), text('host'), KIND.FUNCTION, number(0))])),
    section(SECTION.FUNCTION, list([0, 0, 0, 0, 0, 1, 0].map(number))),
    section(SECTION.TABLE, list([bytes(0x70, 1, number(64), number(64))])),
    section(SECTION.MEMORY, list([bytes(0, number(1))])),
    section(SECTION.GLOBAL, list([bytes(I32, 1, CONST, signed(-5), END)])),
    section(SECTION.EXPORT, list([
      exported('now', 1), exported('both', 3), exported('wide', 6), exported('indirect', 7),
      bytes(text('memory'), KIND.MEMORY, number(0)),
    ])),
    section(SECTION.ELEMENT, list([segment(63, list([number(5)]))])),
    section(SECTION.CODE, code([
      // 1: what CORE calls of LATER.
      body(GET, number(0), CALL, number(2)),
      // 2: calls CORE, which lends it 3 through the table, its own 4, and the import.
      body(GET, number(0), CALL, number(3), CALL, number(4), CALL, number(0)),
      // 3: plus one.
      body(GET, number(0), CONST, signed(1), ADD),
      // 4: counts in the global, and adds the first byte of memory.
      body(
        GET_GLOBAL, number(0), CONST, signed(1), ADD, SET_GLOBAL, number(0),
        GET, number(0), GET_GLOBAL, number(0), ADD, CONST, signed(0), LOAD, number(0), number(0), ADD,
      ),
      // 5: called through the table only.
      body(GET, number(0), CONST, signed(-100), ADD),
      // 6: all its parameters are handed on, in their order.
      body(GET, number(0), 0xb7, GET, number(1), 0xb9, 0xa1, GET, number(2), 0xa3),
      // 7: calls what is in the last slot.
      body(GET, number(0), CONST, signed(63), CALL_INDIRECT, number(0), number(0)),
    ])),
    section(SECTION.DATA, list([segment(0, list([bytes(40)]))])),
    nameSection(new Map([
      [0, 'host'], [1, 'now'], [2, 'work @later'], [3, 'plus one'], [4, 'count @later'], [5, 'slot @later'],
      [6, 'wide @later'], [7, 'indirect'],
    ])),
  ]);
  const env = { host: (it) => it * 2 };
  /** What the exports answer. */
  const ask = ({ now, both, wide, indirect }) => [now(1), now(1), both(1), wide(9, 2n, 0.5), indirect(1)];

  test('a program in two halves does what the whole did', async () => {
    const whole = await WebAssembly.instantiate(WHOLE, { env });
    const expected = ask(whole.instance.exports);
    assert.deepEqual(expected, [76, 78, 2, 14, -99]);
    const [coreBytes, laterBytes] = await run('split.mjs', WHOLE, ['core.wasm', 'later.wasm']);
    const core = (await WebAssembly.instantiate(coreBytes, { env })).instance.exports;
    // Without its other half only what needs nothing of it works.
    assert.equal(core.both(1), 2);
    for (const wants of ['now', 'wide', 'indirect']) {
      assert.throws(() => core[wants](1, 2n, 3), WebAssembly.RuntimeError, wants);
    }
    const later = await WebAssembly.compile(laterBytes);
    await WebAssembly.instantiate(later, { env, core });
    assert.deepEqual(ask(core), expected);
    // There is one memory, and what was in it from the beginning is not written again.
    new Uint8Array(core.memory.buffer)[0] = 50;
    assert.equal(core.now(1), 2 * (2 - 5 + 3 + 50));
    await WebAssembly.instantiate(later, { env, core });
    assert.equal(core.now(1), 2 * (2 - 5 + 4 + 50));
  });

  test('data that only the later half needs comes with it', async () => {
    const told = module([...sections(WHOLE), custom(LATER_DATA, list([bytes(number(0), number(1))]))]);
    const [coreBytes, laterBytes] = await run('split.mjs', told, ['core.wasm', 'later.wasm']);
    assert.deepEqual(sections(coreBytes).filter(({ name }) => name === LATER_DATA), []);
    const core = (await WebAssembly.instantiate(coreBytes, { env })).instance.exports;
    assert.equal(new Uint8Array(core.memory.buffer)[0], 0);
    await WebAssembly.instantiate(await WebAssembly.compile(laterBytes), { env, core });
    assert.equal(new Uint8Array(core.memory.buffer)[0], 40);
    assert.deepEqual(ask(core), [76, 78, 2, 14, -99]);
  });

  test('each half has only its own functions, and the slots that the other one asks for', async () => {
    const [core, later] = await run('split.mjs', WHOLE, ['core.wasm', 'later.wasm']);
    const sizes = (half) => bodies(sectionOf(sections(half), SECTION.CODE)).map(({ start, end }) => end - start);
    const [all, inCore, inLater] = [WHOLE, core, later].map(sizes);
    for (const [i, isLater] of [false, true, false, true, true, true, false].entries()) {
      const [ours, others] = isLater ? [inLater, inCore] : [inCore, inLater];
      assert.equal(ours[i], all[i], `function ${i + 1}`);
      // Nothing, but for what is called from here: 2 and 6 by CORE, 3 by LATER.
      if (![1, 2, 5].includes(i)) assert.equal(others[i], 3, `function ${i + 1}`);
    }
    const table = WebAssembly.Module.imports(new WebAssembly.Module(later)).filter(({ kind }) => kind === 'table');
    assert.deepEqual(table, [{ module: 'core', name: 't0', kind: 'table' }]);
    const { t0 } = new WebAssembly.Instance(new WebAssembly.Module(core), { env }).exports;
    assert.equal(t0.length, 67);
    assert.deepEqual([...Array(67).keys()].filter((slot) => t0.get(slot)), [63, 64]);
  });

  /**
   * A program as the linker leaves it, with relocations: 1 and 2 are exported, 3 is called by 2, 4 by a panic. The first
   * hands a panic the address of its fourth byte of data.
   */
  function linked(panics) {
    // A call whose number the linker has filled in, in five bytes.
    const call = (index) => bytes(CALL, Buffer.from([0x80 | index, 0x80, 0x80, 0x80, 0]));
    const address = (at) => bytes(CONST, Buffer.from([0x80 | at, 0x80, 0x80, 0x80, 0]));
    const named = (i) => `_RNvNtCs${i}_4core9panicking5panic`;
    const functions = [
      ['now', body(address(3), CONST, signed(7), call(4))], ['later', body(call(2))], ['helper', body()], ['formats', body()],
      ...Array.from({ length: panics }, (_, i) => [named(i), body(call(3))]),
    ];
    const all = code(functions.map(([, it]) => it));
    const places = bodies(all).map(({ start, end }) => all.subarray(start, end).indexOf(CALL) + start + 1);
    const data = section(SECTION.DATA, list([segment(0, list([bytes(1), bytes(2), bytes(3), bytes(4)]))]));
    const symbols = [
      ...functions.map(([name], i) => bytes(0, 0, number(i), text(name))),
      ...['now', 'later', 'unused', 'a panic'].map((name, i) => bytes(1, 0, text(`data for ${name}`), number(0), number(i), number(1))),
    ];
    const symbolTable = list(symbols);
    const dataSymbol = functions.length;
    // Where a function calls another one, and (it may as well be the same place) where it asks for data.
    const relocations = [[0, 4], [1, 2], ...Array.from({ length: panics }, (_, i) => [4 + i, 3])]
      .map(([from, to]) => bytes(0, number(places[from]), number(to)));
    const toData = [[0, 0], [1, 1], [4, 2]]
      .map(([from, which]) => bytes(3, number(places[from]), number(dataSymbol + which), signed(0)));
    // The address comes first in its body, after the number of locals.
    toData.push(bytes(4, number(bodies(all)[0].start + 2), number(dataSymbol + 3), signed(0)));
    return module([
      section(SECTION.TYPE, list([type([], [])])),
      section(SECTION.FUNCTION, list(functions.map(() => number(0)))),
      section(SECTION.EXPORT, list([exported('now', 0), exported('uploadFile_later', 1)])),
      { id: SECTION.CODE, content: all },
      data,
      custom('linking', number(2), 8, number(symbolTable.length), symbolTable),
      custom('reloc.CODE', number(3), list([...relocations, ...toData])),
      custom('reloc.DATA', number(4), list([])),
      nameSection(new Map(functions.map(([name], i) => [i, name]))),
    ]);
  }

  test('what is wanted when is told by the relocations', async () => {
    const [marked] = await run('reach.mjs', linked(20), ['to.wasm'], '^uploadFile_');
    const found = sections(marked);
    const names = functionNames(found.find(({ name }) => name === 'name').content);
    assert.deepEqual([...names.values()].slice(0, 4), ['now', 'later @later', 'helper @later', 'formats @unused']);
    const data = sectionOf(found, SECTION.DATA);
    const [{ start, end }] = segments(data);
    assert.deepEqual([...data.subarray(start, end)], [1, 2, 0, 0], 'only panics asked for the last two');
    const { content } = found.find(({ name }) => name === LATER_DATA);
    assert.deepEqual(content, bytes(text(LATER_DATA), list([bytes(number(1), number(1))])));
    assert.deepEqual(found.filter(({ name = '' }) => /^(linking|reloc)/.test(name)), []);
  });

  test('a program whose panics have other names than are known is refused', async () => {
    await assert.rejects(run('reach.mjs', linked(19), ['to.wasm'], '^uploadFile_'), /only 19 functions of panics/);
  });
});
