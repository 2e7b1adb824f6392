// What the page keeps for itself: the last image files and what was done on them, in the browser's own storage, so that
// an image that the server let go for memory, or lost when it was started again, can be opened again by itself.

const MOST = 5; // images

let opening = null;

function database() {
  opening ??= new Promise((resolve, reject) => {
    const request = indexedDB.open("pyiseg", 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("files", { keyPath: "id" });
      request.result.createObjectStore("work", { keyPath: "id" });
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opening;
}

async function store(name, mode, use) {
  const transaction = (await database()).transaction(name, mode);
  const request = use(transaction.objectStore(name));
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve(request.result);
    transaction.onerror = transaction.onabort = () => reject(transaction.error);
  });
}

// Private windows may have no storage, or little: then this page's own memory has to do.
const held = new Map();

async function quietly(work) {
  try {
    return await work();
  } catch {
    return undefined;
  }
}

/** Keep the file of an image, {id, name, file}. */
export async function keepFile(record) {
  held.set(record.id, { ...held.get(record.id), ...record });
  await quietly(async () => {
    await store("files", "readwrite", (files) => files.put({ ...record, at: Date.now() }));
    const all = await store("work", "readonly", (works) => works.getAll());
    const files = await store("files", "readonly", (kept) => kept.getAll());
    const times = new Map(all.map(({ id, at }) => [id, at]));
    const lastUsed = ({ id, at }) => Math.max(times.get(id) ?? 0, at);
    const old = files.filter(({ id }) => id !== record.id).sort((a, b) => lastUsed(b) - lastUsed(a));
    const moved = old.filter(({ movedTo }) => movedTo);
    for (const { id } of [...old.filter(({ movedTo }) => !movedTo).slice(MOST - 1), ...moved.slice(10 * MOST)]) await forget(id);
  });
}

/** Keep what was done: a list of {name, color, prompts, mask: Blob, or undefined}. */
export async function keepWork(id, objects) {
  held.set(id, { ...held.get(id), objects });
  await quietly(() => store("work", "readwrite", (works) => works.put({ id, objects, at: Date.now() })));
}

/** What is kept of an image, or null if its file is not. */
export async function recall(id) {
  const file = await quietly(() => store("files", "readonly", (files) => files.get(id)));
  if (file?.movedTo) return { movedTo: file.movedTo, file: held.get(id)?.file };
  if (held.get(id)?.file) return { objects: [], ...held.get(id) };
  if (!file) return null;
  const work = await quietly(() => store("work", "readonly", (works) => works.get(id)));
  return { ...file, objects: work?.objects ?? [] };
}

/** An image was opened again, and has another id now: other windows find it there. */
export async function move(id, movedTo) {
  held.delete(id);
  await quietly(() => store("files", "readwrite", (files) => files.put({ id, movedTo, at: Date.now() })));
  await quietly(() => store("work", "readwrite", (works) => works.delete(id)));
}

async function forget(id) {
  held.delete(id);
  await quietly(() => store("files", "readwrite", (files) => files.delete(id)));
  await quietly(() => store("work", "readwrite", (works) => works.delete(id)));
}

/** A setting of the user, a text, or null. */
export function recallSetting(name) {
  try {
    return localStorage.getItem(`pyiseg-${name}`);
  } catch {
    return null; // storage may be forbidden; then the setting lasts as long as the page
  }
}

export function keepSetting(name, value) {
  try {
    if (value === null) localStorage.removeItem(`pyiseg-${name}`);
    else localStorage.setItem(`pyiseg-${name}`, value);
  } catch {
    // As above.
  }
}
