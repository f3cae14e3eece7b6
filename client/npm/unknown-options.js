// Warnings of unknown options. Imported when the first one is found.

/** Unknown names that the console has reported. */
const warned = new Set();

/** Warns once of each unknown name, and suggests the known one that it resembles. */
export function warn(unknown, known) {
  const plain = (name) => name.replace(/[-_]/g, '').toLowerCase();
  for (const name of unknown) {
    if (warned.has(name)) continue;
    warned.add(name);
    const meant = known.find((it) => plain(it) === plain(name));
    console.warn(`sortie-recorder: the option ${name} is unknown and ignored.${meant ? ` Is ${meant} meant?` : ''}`);
  }
}
