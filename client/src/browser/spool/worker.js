// Worker of the recorder: stores files, holds locks, and sends ticks, which hidden pages receive, too.
//
// A request is [id, name, ...arguments]; its answer is [id, result] or [id, undefined, name of the error]. Requests are
// carried out one after the other, so that later ones never reach the disk first. A tick is [].

const ROOT = 'sortie-recorder';

const unless = (name) => (error) => {
  if (error.name !== name) throw error;
};

/** Throws unless the storage is writable. Each page has a probe of its own. */
async function probe(store) {
  const folder = `probe-${Math.random()}`;
  await store.append(folder, 'file', 0, new Uint8Array([1]));
  await store.remove(folder);
}

/** Files in the origin private file system, written through sync access handles. */
class Opfs {
  static kind = 'opfs';
  #root;
  #handles = new Map();

  async open() {
    const top = await navigator.storage.getDirectory();
    this.#root = await top.getDirectoryHandle(ROOT, { create: true });
    // Some browsers have only one of the two APIs; some reject both only when they are used.
    await probe(this);
  }

  async #handle(folder, file) {
    const name = `${folder}/${file}`;
    let handle = this.#handles.get(name);
    if (!handle) {
      const directory = await this.#root.getDirectoryHandle(folder, { create: true });
      const entry = await directory.getFileHandle(file, { create: true });
      handle = await entry.createSyncAccessHandle();
      this.#handles.set(name, handle);
    }
    return handle;
  }

  #close(name) {
    this.#handles.get(name)?.close();
    this.#handles.delete(name);
  }

  async append(folder, file, at, bytes) {
    const handle = await this.#handle(folder, file);
    for (let done = 0; done < bytes.length;) {
      const wrote = handle.write(bytes.subarray(done), { at: at + done });
      if (!wrote) throw new DOMException('nothing was written', 'QuotaExceededError');
      done += wrote;
    }
    handle.flush();
  }

  async read(folder, file) {
    this.#close(`${folder}/${file}`);
    const directory = await this.#root.getDirectoryHandle(folder);
    return (await directory.getFileHandle(file)).getFile();
  }

  async remove(folder, file) {
    for (const name of [...this.#handles.keys()]) {
      if (name.startsWith(`${folder}/${file ?? ''}`)) this.#close(name);
    }
    const parent = file ? await this.#root.getDirectoryHandle(folder) : this.#root;
    // A missing entry is no error, because a step may be repeated.
    await parent.removeEntry(file ?? folder, { recursive: true }).catch(unless('NotFoundError'));
  }

  async folders() {
    const names = [];
    for await (const name of this.#root.keys()) names.push(name);
    return names;
  }

  async files(folder) {
    const directory = await this.#root.getDirectoryHandle(folder);
    const files = [];
    for await (const [name, entry] of directory.entries()) files.push([name, (await entry.getFile()).size]);
    return files;
  }
}

const promised = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** Files in IndexedDB: a file is a sequence of writes at [folder, file, offset]. */
class Database {
  static kind = 'indexeddb';
  #database;

  async open() {
    const request = indexedDB.open(ROOT, 1);
    request.onupgradeneeded = () => request.result.createObjectStore('writes');
    this.#database = await promised(request);
    await probe(this);
  }

  #writes(mode) {
    return this.#database.transaction('writes', mode, { durability: 'strict' }).objectStore('writes');
  }

  #range(...key) {
    // Arrays sort behind numbers and strings.
    return IDBKeyRange.bound(key, [...key, []]);
  }

  async append(folder, file, at, bytes) {
    const writes = this.#writes('readwrite');
    writes.put(bytes, [folder, file, at]);
    const { transaction } = writes;
    await new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(transaction.error);
    });
  }

  async read(folder, file) {
    return new Blob(await promised(this.#writes('readonly').getAll(this.#range(folder, file))));
  }

  remove(folder, file) {
    return promised(this.#writes('readwrite').delete(file ? this.#range(folder, file) : this.#range(folder)));
  }

  async folders() {
    const keys = await promised(this.#writes('readonly').getAllKeys());
    return [...new Set(keys.map(([folder]) => folder))];
  }

  async files(folder) {
    const sizes = new Map();
    const writes = this.#writes('readonly');
    for (const key of await promised(writes.getAllKeys(this.#range(folder)))) {
      const bytes = await promised(this.#writes('readonly').get(key));
      sizes.set(key[1], Math.max(sizes.get(key[1]) ?? 0, key[2] + bytes.length));
    }
    return [...sizes];
  }
}

let store;
let ticking;
/** Folder → function that releases its lock. */
const locks = new Map();

const operations = {
  /** Opens the first usable storage and returns its name; nothing without one. */
  async open() {
    for (const Kind of store ? [] : [Opfs, Database]) {
      try {
        const candidate = new Kind();
        await candidate.open();
        store = candidate;
        break;
      } catch {
        // Try the next one.
      }
    }
    return store?.constructor.kind;
  },

  /** Locks a folder. Fails if another tab, or another recorder of this tab, has it. */
  lock(folder) {
    if (!navigator.locks) return !locks.has(folder) && !!locks.set(folder, () => {});
    return new Promise((resolve, reject) => {
      const hold = (lock) => {
        resolve(lock !== null);
        return lock && new Promise((release) => locks.set(folder, release));
      };
      navigator.locks.request(`${ROOT}/${folder}`, { ifAvailable: true }, hold).catch(reject);
    });
  },

  unlock(folder) {
    locks.get(folder)?.();
    locks.delete(folder);
  },

  folders: () => store.folders(),

  /** Returns the files with their sizes, and the texts of the journals. */
  async look(folder) {
    const files = await store.files(folder);
    const journals = [];
    for (const [name] of files) {
      if (name.startsWith('j')) journals.push([name, await (await store.read(folder, name)).text()]);
    }
    return [files, journals];
  },

  read: (folder, file) => store.read(folder, file),

  /** Writes [file, offset, bytes] in order and durably, deletes files, and returns the complete file `seal`. */
  async write(folder, puts, seal, drop) {
    for (const [file, at, data] of puts) {
      const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : new Uint8Array(await data.arrayBuffer());
      await store.append(folder, file, at, bytes);
    }
    const sealed = seal && (await store.read(folder, seal));
    for (const file of drop) await store.remove(folder, file);
    return sealed;
  },

  remove: (folder) => store.remove(folder),

  /** Sends ticks at this interval in ms; 0 ends them. */
  tick(every) {
    clearInterval(ticking);
    if (every) ticking = setInterval(() => postMessage([]), every);
  },
};

let last = Promise.resolve();
onmessage = ({ data: [id, name, ...rest] }) => {
  last = last.then(async () => {
    try {
      postMessage([id, await operations[name](...rest)]);
    } catch (error) {
      postMessage([id, undefined, error?.name ?? 'Error']);
    }
  });
};
