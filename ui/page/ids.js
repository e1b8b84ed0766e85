/**
 * Names: of new records, and of what this server's page keeps. `crypto.randomUUID` exists only in secure contexts, and a server
 * in a local network is often reached over plain HTTP.
 */

const N_BYTES = 16;

/** @returns {string} 32 hexadecimal digits, random */
export function newId() {
  return hex(crypto.getRandomValues(new Uint8Array(N_BYTES)));
}

/**
 * The name of something that the page keeps for its server: another server below another
 * path of the same origin has its own.
 * @param {string} name
 */
export function ownName(name) {
  const { pathname } = new URL(".", location.href);
  return pathname === "/" ? name : `${name} ${pathname}`;
}

/**
 * @param {Uint8Array} bytes
 * @returns {string} two lower-case digits for each byte
 */
export function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
