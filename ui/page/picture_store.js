/**
 * Files of pictures, kept in the browser by their digests: what was sent to the server,
 * and what the person chose, which is larger and goes first when room is short.
 */

/** @import { Tables } from "./database.js" */
/** @import { PictureRef } from "./records.js" */

import { StorageFull } from "./database.js";
import { sha256 } from "./sha256.js";

/** @typedef {{sha256: string, blob: Blob, used: number, isOriginal: boolean}} Kept */

const MOST_BYTES = 1 << 30;
/** A file that no message names yet may belong to a question that is being written. */
const UNNAMED_MS = 3600 * 1000;
/** Between attempts to write: a browser frees the room of a removed file later. */
const PAUSES_MS = [100, 500, 0];

export class PictureStore {
  #tables;

  /** @param {Tables} tables */
  constructor(tables) {
    this.#tables = tables;
  }

  /**
   * Keeps a file. Where the browser has no room left, chosen files of older pictures go
   * for one that is sent.
   *
   * @param {Blob} blob
   * @param {boolean} isOriginal whether it is only what the person chose; not so if it was
   *   sent before
   * @returns {Promise<string>} its SHA-256. Rejects with StorageFull.
   */
  async keep(blob, isOriginal) {
    const digest = await sha256(blob);
    const rows = await this.#rows();
    const isSent = rows.some((row) => row.sha256 === digest && !row.isOriginal);
    const row = { sha256: digest, blob, used: Date.now(), isOriginal: isOriginal && !isSent };
    await this.#remove(oldest(rows, size(rows) + blob.size - MOST_BYTES));
    for (const pauseMs of PAUSES_MS) {
      try {
        await this.#tables.write({ put: [["pictures", row]] });
        return digest;
      } catch (error) {
        if (!(error instanceof StorageFull) || isOriginal) throw error;
        const originals = (await this.#rows()).filter((kept) => kept.isOriginal);
        await this.#remove(oldest(originals, 2 * blob.size));
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    }
    throw new StorageFull("This browser has no room left for a picture.");
  }

  /** @param {string} digest @returns {Promise<Blob | null>} null: it is gone */
  async read(digest) {
    return (await this.#tables.get("pictures", digest))?.blob ?? null;
  }

  /**
   * The file to look at: as large as there is one.
   *
   * @param {PictureRef} picture
   * @returns {Promise<Blob | null>} null: it is gone
   */
  async readLargest({ original, sha256 }) {
    return (original && (await this.read(original))) || this.read(sha256);
  }

  /**
   * Removes the files that none of `named` needs.
   *
   * @param {PictureRef[]} named
   * @param {number} now
   */
  async sweep(named, now) {
    const needed = digestsOf(named);
    const rows = await this.#rows();
    await this.#remove(
      rows.filter((row) => !needed.has(row.sha256) && row.used < now - UNNAMED_MS),
    );
  }

  /**
   * Removes the files of pictures unless one of `named` needs them, or they were kept
   * again `since`, for a question that is being written.
   *
   * @param {PictureRef[]} pictures
   * @param {PictureRef[]} named
   * @param {number} since
   */
  async remove(pictures, named, since) {
    const [gone, needed] = [digestsOf(pictures), digestsOf(named)];
    const rows = await this.#rows();
    await this.#remove(
      rows.filter((row) => gone.has(row.sha256) && !needed.has(row.sha256) && row.used <= since),
    );
  }

  /** @returns {Promise<Kept[]>} in the order in which they go */
  async #rows() {
    const rows = /** @type {Kept[]} */ (await this.#tables.all("pictures"));
    return rows.sort((a, b) => Number(b.isOriginal) - Number(a.isOriginal) || a.used - b.used);
  }

  /** @param {Kept[]} rows */
  #remove(rows) {
    return this.#tables.write({ remove: rows.map((row) => ["pictures", row.sha256]) });
  }
}

/** @param {PictureRef[]} pictures */
function digestsOf(pictures) {
  return new Set(pictures.flatMap(({ sha256, original }) => [sha256, original]));
}

/** @param {Kept[]} rows */
function size(rows) {
  return rows.reduce((sum, { blob }) => sum + blob.size, 0);
}

/**
 * @param {Kept[]} rows in the order in which they go
 * @param {number} bytes that are needed
 * @returns {Kept[]} the first ones that have this size together, or all
 */
function oldest(rows, bytes) {
  let found = 0;
  return rows.filter(({ blob }) => found < bytes && (found += blob.size) > 0);
}
