/**
 * Tables of records: in IndexedDB, or in memory where the browser has none for us (some
 * private windows, blocked storage).
 */

/** @typedef {Record<string, any>} Row */
/** @typedef {(row: Row | undefined) => Row | null | undefined} Change */

/**
 * What may be done with the tables. A batch is written completely or not at all. `update`
 * computes the new row from the old one, and no other tab writes in between; without a
 * result the row stays as it is.
 *
 * @typedef {object} Tables
 * @property {boolean} isKept whether the rows outlive this page
 * @property {(table: string, key: string) => Promise<Row | undefined>} get
 * @property {(table: string, conversation?: string) => Promise<Row[]>} all
 * @property {(batch: Batch) => Promise<void>} write
 * @property {(table: string, key: string, change: Change) => Promise<Row | null>} update
 */

/**
 * @typedef {object} Batch
 * @property {[table: string, row: Row][]} [put]
 * @property {[table: string, key: string][]} [remove]
 */

/** The browser has no room for more. */
export class StorageFull extends Error {
  code = "storage_full";
}

/** Name and key property of each table. Rows of a conversation are found by `conversation`. */
const KEYS = {
  conversations: "id",
  messages: "id",
  pictures: "sha256",
  jobs: "key",
};
const WITH_INDEX = ["messages", "jobs"];
const VERSION = 1;

/**
 * @param {string} name
 * @returns {Promise<Tables>}
 */
export async function openTables(name) {
  try {
    return new IndexedTables(name, await open(name));
  } catch {
    const { MemoryTables } = await import("./memory.js");
    return new MemoryTables(KEYS);
  }
}

/** @param {string} name @returns {Promise<IDBDatabase>} */
function open(name) {
  const request = indexedDB.open(name, VERSION);
  request.onupgradeneeded = () => {
    for (const [table, keyPath] of Object.entries(KEYS)) {
      const made = request.result.createObjectStore(table, { keyPath });
      if (WITH_INDEX.includes(table)) made.createIndex("conversation", "conversation");
    }
  };
  return result(request);
}

/** @implements {Tables} */
class IndexedTables {
  isKept = true;

  /** @param {string} name @param {IDBDatabase} database */
  constructor(name, database) {
    this.name = name;
    this.database = database;
    database.onversionchange = () => database.close();
  }

  /** @param {string} table @param {string} key */
  async get(table, key) {
    const request = (await this.#begin(table, "readonly")).objectStore(table).get(key);
    return result(request);
  }

  /** @param {string} table @param {string} [conversation] */
  async all(table, conversation) {
    const rows = (await this.#begin(table, "readonly")).objectStore(table);
    if (conversation === undefined) return result(rows.getAll());
    return result(rows.index("conversation").getAll(conversation));
  }

  /** @param {Batch} batch */
  async write({ put = [], remove = [] }) {
    const tables = new Set([...put, ...remove].map(([table]) => table));
    if (!tables.size) return;
    const transaction = await this.#begin([...tables], "readwrite");
    const done = completion(transaction);
    for (const [table, row] of put) transaction.objectStore(table).put(row);
    for (const [table, key] of remove) transaction.objectStore(table).delete(key);
    transaction.commit(); // else it is lost with a page that is left before it ends by itself
    await done;
  }

  /**
   * @param {string} table
   * @param {string} key
   * @param {Change} change
   */
  async update(table, key, change) {
    const transaction = await this.#begin(table, "readwrite");
    const done = completion(transaction);
    const rows = transaction.objectStore(table);
    /** @type {Row | null} */
    let changed = null;
    const request = rows.get(key);
    request.onsuccess = () => {
      changed = change(request.result) ?? null;
      if (changed) rows.put(changed);
    };
    await done;
    return changed;
  }

  /**
   * A transaction; opens the database again if the browser closed it, as it does when a
   * person clears the data of a site.
   *
   * @param {string | string[]} tables
   * @param {IDBTransactionMode} mode
   */
  async #begin(tables, mode) {
    try {
      return this.database.transaction(tables, mode);
    } catch {
      this.database = await open(this.name);
      return this.database.transaction(tables, mode);
    }
  }
}

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function result(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/**
 * @param {IDBTransaction} transaction
 * @returns {Promise<void>} when it is written; rejects with StorageFull or a DOMException
 */
function completion(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => {
      const isFull = transaction.error?.name === "QuotaExceededError";
      reject(isFull ? new StorageFull("This browser has no room left.") : transaction.error);
    };
  });
}
