/**
 * SHA-256 of a file. `crypto.subtle` exists only in secure contexts; over plain HTTP in a
 * local network the digest is computed here. Source: FIPS 180-4.
 */

import { hex } from "./ids.js";

const BLOCK_BYTES = 64;

/**
 * @param {Blob} blob
 * @returns {Promise<string>} 64 hexadecimal digits
 */
export async function sha256(blob) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  if (globalThis.crypto.subtle) {
    return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
  }
  return hex(digest(bytes));
}

/**
 * @param {Uint8Array} message at most 2 ** 32 bytes
 * @returns {Uint8Array} 32 bytes
 */
export function digest(message) {
  const state = primes(8).map((prime) => fraction(Math.sqrt(prime)));
  const padded = pad(message);
  const view = new DataView(padded.buffer);
  const schedule = new Int32Array(64);
  for (let at = 0; at < padded.length; at += BLOCK_BYTES) {
    compress(state, schedule, view, at);
  }
  const result = new DataView(new ArrayBuffer(32));
  state.forEach((word, i) => result.setInt32(4 * i, word));
  return new Uint8Array(result.buffer);
}

/** @param {Uint8Array} message */
function pad(message) {
  const n_blocks = Math.ceil((message.length + 9) / BLOCK_BYTES);
  const padded = new Uint8Array(n_blocks * BLOCK_BYTES);
  padded.set(message);
  padded[message.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(message.length / 2 ** 29));
  view.setUint32(padded.length - 4, message.length << 3);
  return padded;
}

/**
 * @param {number[]} state eight words, changed in place
 * @param {Int32Array} w 64 words of scratch memory
 * @param {DataView} view
 * @param {number} at where the block begins
 */
function compress(state, w, view, at) {
  for (let i = 0; i < 16; i++) w[i] = view.getInt32(at + 4 * i);
  for (let i = 16; i < 64; i++) {
    const early = w[i - 15];
    const late = w[i - 2];
    const s0 = rotate(early, 7) ^ rotate(early, 18) ^ (early >>> 3);
    const s1 = rotate(late, 17) ^ rotate(late, 19) ^ (late >>> 10);
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let i = 0; i < 64; i++) {
    const s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
    const choice = (e & f) ^ (~e & g);
    const t1 = (h + s1 + choice + ROUND[i] + w[i]) | 0;
    const s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
    const majority = (a & b) ^ (a & c) ^ (b & c);
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + t1) | 0, c, b, a, (t1 + s0 + majority) | 0];
  }
  [a, b, c, d, e, f, g, h].forEach((word, i) => (state[i] = (state[i] + word) | 0));
}

/** @param {number} word @param {number} n */
function rotate(word, n) {
  return (word >>> n) | (word << (32 - n));
}

/** @param {number} x @returns {number} the first 32 bits of its fraction */
function fraction(x) {
  return ((x - Math.floor(x)) * 2 ** 32) | 0;
}

/** @param {number} n @returns {number[]} the first `n` primes */
function primes(n) {
  /** @type {number[]} */
  const found = [];
  for (let i = 2; found.length < n; i++) {
    if (found.every((prime) => i % prime)) found.push(i);
  }
  return found;
}

const ROUND = Int32Array.from(primes(64), (prime) => fraction(Math.cbrt(prime)));
