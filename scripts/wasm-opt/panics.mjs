/** Functions of which nothing comes back, by name. */
const PANICS = [
  /^core::panicking::/,
  /^std::panicking::/,
  /^<?core::(option|result)::(unwrap|expect)_failed/,
  /^<?core::slice::\w+::(slice_\w+_fail|\w+_fail|len_mismatch_fail)\b/,
  /^core::str::slice_error_fail/,
  /^core::cell::(lazy::)?panic_(already|poisoned)/,
  /^<?(alloc|core)::\S+?::assert_failed$/,
  /^std::thread::local::panic_access_error/,
  /^alloc::(raw_vec::(capacity_overflow|handle_error)|alloc::handle_alloc_error)/,
  // Asked for by panics only, but through a table of functions, so wasm-opt cannot know.
  / as core::fmt::Debug>::fmt/,
];

/** The same as the linker knows them: wasm-bindgen makes the names readable. */
const MANGLED = [
  /^_R\w+?_(4core|3std)9panicking/,
  /^_R\w+?_4core6(option|result)13(unwrap|expect)_failed/,
  /^_R\w+?_4core5slice\w+_fail(_rt)?$/,
  /^_R\w+?_4core3str\d+slice_error_fail/,
  /^_R\w+?_4core4cell(4lazy)?\d+panic_(already|poisoned)/,
  /^_R\w+?_(5alloc|4core)\w+13assert_failed$/,
  /^_R\w+?_3std6thread5local18panic_access_error/,
  /^_R\w+?_5alloc(7raw_vec(17capacity_overflow|12handle_error)|5alloc18handle_alloc_error)/,
  /^_RNvX\w+5Debug(3fmt|EL_\w+_3fmt)/,
  /^_ZN\S+\$u20\$as\$u20\$core\.\.fmt\.\.Debug\$GT\$3fmt17h/,
];

/** Whether the function of this name only prepares a panic's message. The hashes of crates do not matter. */
export function isPanic(name = '') {
  const plain = name.replace(/\[[0-9a-f]{16}\]/g, '');
  return [...PANICS, ...MANGLED].some((it) => it.test(plain));
}
