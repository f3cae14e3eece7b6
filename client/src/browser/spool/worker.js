// Worker of the recorder: stores files, holds locks, sends uploads, and sends ticks, which hidden pages receive, too.
//
// A request is [id, name, ...arguments]; its answer is [id, result] or [id, undefined, name of the error]. Operations on
// files are carried out one after the other, so that later ones never reach the disk first. A message to the page is a
// list of answers, and also a tick. Each message costs the page, so answers that come close together share one.

const ROOT = 'sortie-recorder';
/** Delay in ms at which answers share a message. */
const COLLECT_MS = 20;
/** Bytes that are decrypted at a time. */
const PIECE_BYTES = 1 << 20;
/** Longest text of an error that the page gets. */
const MAX_TEXT = 16_384;
/** Longest time of sending a picture in ms: a lost connection must not be kept from the uploads. */
const PICTURE_MS = 20_000;

const unless = (name) => (error) => {
  if (error.name !== name) throw error;
};

const promised = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** Opens a database with one object store. */
function openDatabase(name, store) {
  const request = indexedDB.open(name, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(store);
  return promised(request);
}

/** Waits until a transaction is durable. */
const completed = (transaction) =>
  new Promise((resolve, reject) => {
    transaction.oncomplete = resolve;
    transaction.onabort = () => reject(transaction.error);
  });

/** Files in the origin private file system, written through sync access handles. */
class Opfs {
  static kind = 'opfs';
  #root;
  #handles = new Map();

  async open() {
    const top = await navigator.storage.getDirectory();
    this.#root = await top.getDirectoryHandle(ROOT, { create: true });
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

  /** Closes the files whose names begin like this. */
  close(prefix) {
    for (const [name, handle] of this.#handles) {
      if (!name.startsWith(prefix)) continue;
      handle.close();
      this.#handles.delete(name);
    }
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
    this.close(`${folder}/${file}`);
    const directory = await this.#root.getDirectoryHandle(folder);
    return (await directory.getFileHandle(file)).getFile();
  }

  async remove(folder, file) {
    this.close(`${folder}/${file ?? ''}`);
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

/** Files in IndexedDB: a file is a sequence of writes at [folder, file, offset]. */
class Database {
  static kind = 'indexeddb';
  #database;

  async open() {
    this.#database = await openDatabase(ROOT, 'writes');
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
    await completed(writes.transaction);
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

/** Missing in insecure contexts. */
const subtle = globalThis.crypto?.subtle;
/** Block of the cipher in bytes. */
const BLOCK = 16;
/** File that marks a folder as encrypted. */
const MARK = 'encrypted';

// A store whose files are encrypted with a key for each folder (AES-CTR, so that any range can be read). The browser never
// gives out the bytes of a key; without it, a folder is unreadable. Insecure contexts store without encryption.
class Encrypted {
  #store;
  #database;
  #keys = new Map();

  constructor(store) {
    this.#store = store;
    this.kind = store.constructor.kind;
  }

  async open() {
    await this.#store.open();
    if (subtle) this.#database = await openDatabase(`${ROOT}-keys`, 'keys');
    // Some browsers have only one of the two storages; some reject both only when they are used.
    const folder = `probe-${Math.random()}`;
    const probe = async () => {
      await this.append(folder, 'file', 0, new Uint8Array([1]));
      await this.remove(folder);
    };
    // Locked, because another tab that looks for recordings would remove it.
    await (navigator.locks ? navigator.locks.request(`${ROOT}/${folder}`, probe) : probe());
  }

  #table(mode) {
    return this.#database.transaction('keys', mode, { durability: 'strict' }).objectStore('keys');
  }

  /** Returns the key of a folder; `undefined` for a folder of an earlier version, or of an insecure context. */
  async #key(folder, isNew) {
    if (!this.#database || this.#keys.has(folder)) return this.#keys.get(folder);
    let key = await promised(this.#table('readonly').get(folder));
    if (!key) {
      const files = await this.#store.files(folder).catch(() => []);
      // The browser has lost the key.
      if (files.some(([name]) => name === MARK)) throw new DOMException('there is no key', 'InvalidStateError');
      if (!isNew || files.length > 0) return undefined;
      key = await subtle.generateKey({ name: 'AES-CTR', length: 256 }, false, ['encrypt']);
      const table = this.#table('readwrite');
      table.add(key, folder);
      await completed(table.transaction);
      await this.#store.append(folder, MARK, 0, new Uint8Array([1]));
      this.close(folder, MARK);
    }
    this.#keys.set(folder, key);
    return key;
  }

  /** Encrypts or decrypts the bytes of a file from offset `at` on, which is the same operation. */
  async #apply(key, file, at, bytes) {
    if (!key) return bytes;
    const skipped = at % BLOCK;
    const blocks = new Uint8Array(skipped + bytes.length);
    blocks.set(bytes, skipped);
    // No two blocks of a folder have the same counter: a file's name is a letter and a number, which is never used again.
    const counter = new DataView(new ArrayBuffer(BLOCK));
    counter.setBigUint64(0, BigInt(file.replace(/\D/g, '') || 0));
    counter.setUint8(0, file.charCodeAt(0));
    counter.setBigUint64(8, BigInt((at - skipped) / BLOCK));
    return new Uint8Array(await subtle.encrypt({ name: 'AES-CTR', counter, length: 64 }, key, blocks), skipped);
  }

  async append(folder, file, at, bytes) {
    const key = await this.#key(folder, true);
    await this.#store.append(folder, file, at, await this.#apply(key, file, at, bytes));
  }

  /** Returns the bytes of a file from offset `from` up to `to`. */
  async read(folder, file, from = 0, to = Infinity) {
    // The key first: without it, the bytes of a folder that is being removed would be taken for bytes without encryption.
    const key = await this.#key(folder);
    const stored = await this.#store.read(folder, file);
    if (Number.isFinite(to) && stored.size < to) throw new DOMException('the file is too short', 'NotReadableError');
    const end = Math.min(to, stored.size);
    if (!key) return stored.slice(from, end);
    const pieces = [];
    for (let at = from; at < end; at += PIECE_BYTES) {
      const piece = await stored.slice(at, Math.min(at + PIECE_BYTES, end)).arrayBuffer();
      pieces.push(new Blob([await this.#apply(key, file, at, new Uint8Array(piece))]));
    }
    return new Blob(pieces);
  }

  async remove(folder, file) {
    if (!file && this.#database) {
      this.#keys.delete(folder);
      const table = this.#table('readwrite');
      table.delete(folder);
      await completed(table.transaction);
    }
    await this.#store.remove(folder, file);
  }

  close(folder, file = '') { this.#store.close?.(`${folder}/${file}`); }
  folders() { return this.#store.folders(); }
  files(folder) { return this.#store.files(folder); }
}

let store;
let opening;

/** Opens the first usable storage. */
async function openStore() {
  for (const Kind of [Opfs, Database]) {
    try {
      const candidate = new Encrypted(new Kind());
      await candidate.open();
      store = candidate;
      return;
    } catch {
      // Try the next one.
    }
  }
}

/** Opens the storage with the first request that needs it. */
const opened = () => (opening ??= openStore());

/** Folder → function that releases its lock. */
const locks = new Map();

const operations = {
  /** Opens the storage and returns its name; nothing without one. */
  open: () => store?.kind,

  /** Locks a folder. Returns `false` if another tab has it, and `false` or `own` if another recorder of this tab has it. */
  lock(folder, own = false) {
    if (locks.has(folder)) return own;
    if (!navigator.locks) return !!locks.set(folder, () => {});
    return new Promise((resolve, reject) => {
      const hold = (lock) => {
        resolve(lock !== null);
        return lock && new Promise((release) => locks.set(folder, release));
      };
      navigator.locks.request(`${ROOT}/${folder}`, { ifAvailable: true }, hold).catch(reject);
    });
  },

  unlock(folder) {
    store?.close(folder);
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

  /** Writes [file, offset, bytes] in order and durably, deletes files, and closes the complete file `seal`. */
  async write(folder, puts, seal, drop) {
    for (const [file, at, data] of puts) {
      const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : new Uint8Array(await data.arrayBuffer());
      await store.append(folder, file, at, bytes);
    }
    if (seal) store.close(folder, seal);
    for (const file of drop) await store.remove(folder, file);
  },

  remove: (folder) => store.remove(folder),

};

/** Requests that wait for no operation on files. */
const others = {
  send,

  picture,

  cancel: (_id, request) => uploads.get(request)?.abort(),

  /** Returns the bytes of `parts` as one blob. */
  blob: (_id, parts) => joined(parts),

  /** Reads a blob of the page. */
  bytes: (_id, blob) => blob.arrayBuffer(),

  /** Sends a message at least at this interval in ms; 0 ends that. */
  tick(_id, every) {
    tickMs = every;
  },
};

/** Returns the bytes of blobs of the page, and of ranges of files [folder, file, from, to], as one blob. */
async function joined(parts) {
  if (parts.some(Array.isArray)) await opened();
  const blobs = await Promise.all(parts.map((it) => (Array.isArray(it) ? store.read(...it) : it)));
  return blobs.length === 1 ? blobs[0] : new Blob(blobs);
}

/** Uploads under way: id of the request → controller that aborts it. */
const uploads = new Map();

const checksum = async (bytes) =>
  `sha256 ${btoa(String.fromCharCode(...new Uint8Array(await subtle.digest('SHA-256', bytes))))}`;

/** Sends an HTTP request. Returns status and headers of the answer, and the beginning of an error's text. */
async function send(id, url, { parts, hasChecksum, ...init }) {
  const controller = new AbortController();
  uploads.set(id, controller);
  try {
    if (parts) init.body = await joined(parts);
    if (parts && hasChecksum && subtle) {
      init.body = await init.body.arrayBuffer();
      init.headers.push(['upload-checksum', await checksum(init.body)]);
    }
    const answer = await fetch(url, { ...init, credentials: 'same-origin', signal: controller.signal });
    const text = answer.ok ? '' : (await answer.text()).slice(0, MAX_TEXT);
    return [answer.status, Object.fromEntries(answer.headers), text];
  } finally {
    uploads.delete(id);
  }
}

/** Encodes a frame of the recorded stream as a small picture and sends it. Returns the status of the answer. */
async function picture(_id, url, init, frame) {
  const { displayWidth: width, displayHeight: height } = frame;
  const [across, down] = width < height ? [180, 320] : [320, 180];
  const scale = Math.min(1, across / width, down / height);
  const canvas = new OffscreenCanvas(...[width, height].map((it) => Math.max(1, Math.round(it * scale))));
  const context = canvas.getContext('2d', { alpha: false });
  context.imageSmoothingQuality = 'high';
  context.drawImage(frame, 0, 0, canvas.width, canvas.height);
  frame.close();
  const encode = (type) => canvas.convertToBlob({ type, quality: 0.6 });
  init.body = await encode('image/webp');
  // WebKit encodes no WebP.
  if (!init.body.type.endsWith('webp')) init.body = await encode('image/jpeg');
  init.headers.push(['content-type', init.body.type]);
  return (await fetch(url, { ...init, credentials: 'same-origin', signal: AbortSignal.timeout(PICTURE_MS) })).status;
}

/** Answers for the next message. */
let answers = [];
let tickMs = 0;
let timer;
let isCollecting = false;

function deliver() {
  clearTimeout(timer);
  isCollecting = false;
  if (tickMs > 0) timer = setTimeout(deliver, tickMs);
  postMessage(answers, answers.map((it) => it[1]).filter((it) => it instanceof ArrayBuffer));
  answers = [];
}

async function answer(id, operation) {
  const result = await operation().then((it) => [id, it], (error) => [id, undefined, error?.name ?? 'Error']);
  answers.push(result);
  if (isCollecting) return;
  isCollecting = true;
  clearTimeout(timer);
  timer = setTimeout(deliver, COLLECT_MS);
}

let last = Promise.resolve();
onmessage = ({ data: [id, name, ...rest] }) => {
  if (others[name]) answer(id, async () => others[name](id, ...rest));
  else last = last.then(opened).then(() => answer(id, async () => operations[name](...rest)));
};
