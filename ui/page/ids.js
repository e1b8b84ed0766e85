/**
 * Names of new records. `crypto.randomUUID` exists only in secure contexts, and a server
 * in a local network is often reached over plain HTTP.
 */

const N_BYTES = 16;

/** @returns {string} 32 hexadecimal digits, random */
export function newId() {
  return hex(crypto.getRandomValues(new Uint8Array(N_BYTES)));
}

/**
 * @param {Uint8Array} bytes
 * @returns {string} two lower-case digits for each byte
 */
export function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
