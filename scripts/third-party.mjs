// Prints the licences of the libraries that are compiled into the npm package's WebAssembly modules, with their texts.
//
//   node scripts/third-party.mjs FEATURES >THIRD_PARTY_LICENSES.txt
//
// cargo resolves the libraries for the features and the target, and the texts are those of the published crates. Where a
// library offers the MIT licence as a choice, its text is that of the MIT licence; a library that is published without
// a text gets the common one with the names of its authors.

import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';

const TARGET = 'wasm32-unknown-unknown';
const [features] = process.argv.slice(2);
const capture = (program, ...given) => execFileSync(program, given, { encoding: 'utf8', maxBuffer: 1 << 28 });

// Libraries that are only used by procedural macros are not in the modules.
const tree = capture(
  'cargo', 'tree', '--locked', '--package', 'sortie-client', '--features', features, '--target', TARGET,
  '--edges', 'normal,no-proc-macro', '--prefix', 'none', '--no-dedupe', '--format', '{p}',
);
const used = new Set(tree.trim().split('\n'));
const metadata = JSON.parse(capture('cargo', 'metadata', '--locked', '--all-features', '--format-version', '1', '--filter-platform', TARGET));
const libraries = metadata.packages
  .filter(({ source, name, version }) => source && used.has(`${name} v${version}`))
  .sort((a, b) => a.name.localeCompare(b.name));

const sysroot = capture('rustc', '--print', 'sysroot').trim();
const mitTerms = readFileSync(join(sysroot, 'share/doc/rust/licenses/MIT.txt'), 'utf8').trim().replace(/^.*?(?=Permission is)/s, '');

const own = [...used].filter((it) => it.includes('(')).length;
if (libraries.length !== used.size - own) throw new Error('cargo metadata lacks libraries that cargo tree lists');

/** Returns the text of a library's licence: of the MIT licence if that is a choice, otherwise of all. */
function textOf({ name, license, authors, manifest_path }) {
  const folder = dirname(manifest_path);
  const all = readdirSync(folder).filter((it) => /^(licen[cs]e|copying|notice|unicode)/i.test(it)).sort();
  const mit = all.filter((it) => /mit/i.test(it));
  const chosen = mit.length > 0 && / OR |^MIT$/.test(license) ? mit : all;
  if (chosen.length === 0 && /\bMIT\b/.test(license)) return `Copyright (c) ${authors.join(', ') || `the authors of ${name}`}\n\n${mitTerms}`;
  if (chosen.length === 0) throw new Error(`${name} has no licence text in ${folder}`);
  if (/ AND /.test(license)) chosen.push(...all.filter((it) => /unicode/i.test(it) && !chosen.includes(it)));
  return chosen.map((it) => readFileSync(join(folder, it), 'utf8').trim()).join('\n\n');
}

/** Libraries by text: many have the same one. */
const texts = new Map();
for (const library of libraries) {
  const text = textOf(library);
  texts.set(text, [...texts.get(text) ?? [], `${library.name} ${library.version} (${library.license})`]);
}
const { version } = /rustc (?<version>\S+)/.exec(capture('rustc', '--version')).groups;
texts.set(`Copyright (c) The Rust Project Developers\n\n${mitTerms}`, [`Rust standard library ${version} (MIT OR Apache-2.0)`]);

const rule = '-'.repeat(80);
const sections = [...texts].map(([text, names]) => `${rule}\n${names.join('\n')}\n${rule}\n\n${text}\n`);
console.log(`Libraries in the WebAssembly modules of sortie-recorder\n\n${sections.join('\n')}`.trimEnd());
