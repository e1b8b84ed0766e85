/** Tables in memory: what is written lives as long as the page. */

/** @import { Batch, Change, Row, Tables } from "./database.js" */

/** @implements {Tables} */
export class MemoryTables {
  isKept = false;
  #keys;
  /** @type {Record<string, Map<string, Row>>} */
  #tables;

  /** @param {Record<string, string>} keys name and key property of each table */
  constructor(keys) {
    this.#keys = keys;
    this.#tables = Object.fromEntries(Object.keys(keys).map((name) => [name, new Map()]));
  }

  /** @param {string} table @param {string} key */
  async get(table, key) {
    return this.#tables[table].get(key);
  }

  /** @param {string} table @param {string} [conversation] */
  async all(table, conversation) {
    const rows = [...this.#tables[table].values()];
    return rows.filter((row) => !conversation || row.conversation === conversation);
  }

  /** @param {Batch} batch */
  async write({ put = [], remove = [] }) {
    for (const [table, row] of put) this.#tables[table].set(row[this.#keys[table]], row);
    for (const [table, key] of remove) this.#tables[table].delete(key);
  }

  /**
   * @param {string} table
   * @param {string} key
   * @param {Change} change
   */
  async update(table, key, change) {
    const changed = change(this.#tables[table].get(key)) ?? null;
    if (changed) this.#tables[table].set(key, changed);
    return changed;
  }
}
